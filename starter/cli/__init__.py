"""The command line `amends`."""

import os
import sys
from typing import NoReturn

from starter.cli.run import run


def main() -> NoReturn:
    """Run the command of `sys.argv` and exit with its status; the console script."""
    status = run(sys.argv[1:])
    # A process that used Temporal's client can abort while the interpreter goes down; all is
    # written and closed, so it leaves without that, and always with its own status.
    os._exit(status)
