"""The command line `amends`."""

import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command of `sys.argv` and exit with its status; the console script."""
    # All that a command imports stays to its end: to look for garbage in it takes a tenth of its
    # time. `starter.cli.client` turns the collector on before a command begins its work.
    gc.disable()
    from starter.cli.run import run

    status = run(sys.argv[1:])
    # A process that used Temporal's client can abort while the interpreter goes down; all is
    # written and closed, so it leaves without that, and always with its own status.
    os._exit(status)
