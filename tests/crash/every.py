"""Every scenario there is, by its name: the files that define them are read here."""

from tests.crash import adjacent, mended, scenarios
from tests.crash.scenario import SCENARIOS

__all__ = ["SCENARIOS", "adjacent", "mended", "scenarios"]
