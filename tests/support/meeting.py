"""What runs share, and the test with them: passed through the sandbox."""

import threading

HAS_COME = threading.Event()
MAY_GO = threading.Event()
SPUN: list[str] = []
# What each run that was left or that ended could do on its way out.
LEFT: list[list[str]] = []
EXECUTIONS: list[str] = []
