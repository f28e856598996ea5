"""Starts child processes apart from the terminal, and stops them for certain, also those left
over."""

import asyncio
import contextlib
import os
import pwd
import signal
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from ledger.processes import start_of

# The environment variable by which we know our children again.
TOKEN = "AMENDS_UP_TOKEN"

_POLL_S = 0.02
_LOG_LIMIT_BYTES = 10_000_000


async def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str],
    user: str | None = None,
    folder: Path | None = None,
    listeners: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    """Start a process in a session of its own: Ctrl-C in the terminal reaches only us.

    Its output goes to `log`; what it writes is readable by its user only. `listeners`: the file
    descriptors that stay open in it, under their numbers.
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
            pass_fds=tuple(listeners),
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
    """Stop a child and all it started; returns when they are gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if process.returncode is None:
            await end(psutil.Process(process.pid), *signals, grace_s=grace_s)
    await process.wait()


async def end(process: psutil.Process, *signals: signal.Signals, grace_s: float) -> None:
    """Stop any process: the signals in turn, each with its grace, then SIGKILL, also for what it
    started. Returns when they are gone.
    """
    family = _family(process)
    for number in signals:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        if await _gone([process], grace_s):
            break
    for member in (*family, *_family(process)):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    await _gone(family, grace_s)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


async def _gone(processes: Sequence[psutil.Process], within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            # Some are not our children, so nobody tells us: look.
            while any(is_alive(process) for process in processes):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        return False
    return True


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs. A zombie does not: it waits for a parent that may never ask."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def by_mark(mark: Mapping[str, Any]) -> psutil.Process | None:
    """The process of this mark in up.json, if that very process still runs."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        process = psutil.Process(mark["pid"])
        if start_of(process.pid) == mark.get("start"):
            return process if is_alive(process) else None
    return None


def left_over(tokens: Collection[str]) -> list[psutil.Process]:
    """The processes that still run with one of these tokens in their environment, clients before
    servers.

    A process is listed without those it started.
    """
    found = {p.pid: p for p in psutil.process_iter() if _token(p) in tokens}
    top = [process for process in found.values() if _parent(process) not in found]
    return sorted(top, key=is_postgres)


def _parent(process: psutil.Process) -> int | None:
    # initdb starts processes that live for milliseconds: one may be gone by now.
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.ppid()
    return None


def _token(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(TOKEN)
    except (psutil.Error, OSError):
        # Gone, or another user's: none of ours.
        return None


def is_postgres(process: psutil.Process) -> bool:
    """Whether the process is PostgreSQL, or about to make a cluster."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name() in ("postgres", "initdb")
    return False
