"""Child processes: started apart from the terminal, stopped for certain, also those left over."""

import asyncio
import contextlib
import os
import pwd
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

# psutil derives the creation time from the boot time, which a clock correction moves a little.
_CLOCK_TOLERANCE_S = 2.0
_POLL_S = 0.02
_LOG_LIMIT_BYTES = 10_000_000


async def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str],
    user: str | None = None,
    folder: Path | None = None,
) -> asyncio.subprocess.Process:
    """Start a process in a session of its own: Ctrl-C in the terminal reaches only us.

    Its output goes to `log`; what it writes is readable by its user only.
    """
    with _open_log(log) as output:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            umask=0o077,
            **_identity(user),
        )


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _open_log(log: Path) -> Any:
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


async def stop(
    process: asyncio.subprocess.Process, *signals: signal.Signals, grace_s: float
) -> None:
    """Send the signals in turn, each with its grace, then SIGKILL; returns when it is gone."""
    for number in (*signals, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_s)
            return


def left_over(mark: Mapping[str, Any]) -> psutil.Process | None:
    """The process of a mark in up.json, if that very process still runs."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(mark["pid"])
        if abs(process.create_time() - mark["created"]) < _CLOCK_TOLERANCE_S:
            return process if is_alive(process) else None
    return None


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs. A zombie does not: it waits for a parent that may never ask."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def stop_left_over(process: psutil.Process, *signals: signal.Signals, grace_s: float) -> None:
    """Stop a process that is not our child: the signals in turn, then SIGKILL."""
    for number in (*signals, signal.SIGKILL):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_gone(process), grace_s)
            return


async def _gone(process: psutil.Process) -> None:
    # Not our child, so nobody tells us: look.
    while is_alive(process):  # noqa: ASYNC110
        await asyncio.sleep(_POLL_S)
