"""`python -m tests.record_histories [NAME]`: save histories of sagas under tests/histories/.

Runs each scenario (or those whose name contains NAME) on real servers and saves what Temporal
recorded. Only for scenarios that are new: an old history stays, since servers may hold such runs.
"""

import os
import sys

import pytest

from tests.support.replaying import RECORD

if __name__ == "__main__":
    os.environ[RECORD] = "1"
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    tests = ["tests/sagas/test_replay.py", "tests/infrastructure/test_replay.py"]
    chosen = f"each_scenario and {name}" if name else "each_scenario"
    sys.exit(pytest.main(["-q", *tests, "-k", chosen]))
