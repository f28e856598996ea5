"""The data folder (`.amends/`): its holder, its secrets, and the files others read."""

import contextlib
import fcntl
import json
import os
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledger.processes import start_of
from worker.embedded import system_user
from worker.embedded.errors import BadRequest, EmbeddedError, FolderHeld

SECRET_NAMES = (
    "postgres",
    "amends_owner",
    "amends_worker",
    "amends_auditor",
    "mock_bank",
    "target_postgres",
    "amends_provisioner",
)


# To read and to write it; PostgreSQL's system user has to pass through.
_OF_OTHERS = 0o066


class DataFolder:
    """One data folder, held by one process at a time.

    `hold` takes it, `release` gives it back. Between them `record` keeps up.json, which tells
    others who holds the folder, and the next holder which processes to stop if this one is killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        # The files of banks that the worker reads.
        self.statements = self.path / "statements"
        self.env_file = self.path / "env"
        self.up_file = self.path / "up.json"
        # In the environment of every child, and in up.json before the first one starts: so that
        # none is lost to a kill between its start and the note of its process id.
        self.token = secrets.token_hex(16)
        self._lock: int | None = None
        self._up: dict[str, Any] = {}

    def hold(self) -> list[str]:
        """Hold the folder; returns the tokens of killed holders, none after a clean stop.

        Raises FolderHeld when another process has it, BadRequest when it can't be written.
        """
        lock = self._open_lock()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            holder = self.read_up()
            raise FolderHeld(f"{self.path} is held by another process", holder or None) from None
        self._lock = lock
        self.env_file.unlink(missing_ok=True)
        left: list[str] = self.read_up().get("tokens", [])
        self._up = {
            "supervisor": mark(os.getpid()),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "ready": False,
            # The old ones stay until their processes are stopped: we may be killed before.
            "tokens": [self.token, *left],
            "processes": {},
        }
        self._write_up()
        return left

    def _open_lock(self) -> int:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            self.statements.mkdir(mode=0o700, exist_ok=True)
            self._refuse_strangers()
            # An OS lock and not a pid file: the kernel frees it however its holder dies.
            return os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise BadRequest(
                f"the data folder {self.path} can't be written ({error.strerror}): "
                f"choose another one with --data"
            ) from None

    def _refuse_strangers(self) -> None:
        """Refuse what another user made, who would know the passwords in it, and close the folder
        to others but for passing through."""
        for path in (self.path, *self.path.iterdir()):
            try:
                owner = path.lstat().st_uid
            except FileNotFoundError:
                # The holder replaces its files.
                continue
            if owner != os.geteuid() and (path == self.path or owner != system_user.number()):
                raise BadRequest(
                    f"{path} belongs to another user ({owner}), who may have prepared it: run as "
                    f"that user, or choose another folder with --data"
                )
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & _OF_OTHERS:
            self.path.chmod(mode & ~_OF_OTHERS)

    def release(self) -> None:
        """Release the folder after a clean stop: nothing of a running holder remains."""
        if self._lock is None:
            return
        self.env_file.unlink(missing_ok=True)
        self.up_file.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None

    def record(self, **facts: Any) -> None:
        """Add facts to up.json."""
        self._up.update(facts)
        self._write_up()

    def record_process(self, name: str, pid: int | None) -> None:
        """Record the process id of a child by name, or (None) that the child is gone."""
        processes: dict[str, int] = self._up["processes"]
        processes.pop(name, None)
        if pid is not None:
            processes[name] = pid
        try:
            self._write_up()
        except OSError:
            # On a full disk, say, the end of a child goes unrecorded: whoever holds the folder next
            # looks for itself, and the error that led here is told.
            if pid is not None:
                raise

    def _write_up(self) -> None:
        write_private(self.up_file, json.dumps(self._up, indent=1) + "\n")

    def read_up(self) -> dict[str, Any]:
        """The up.json of the holder, {} when there is none."""
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads(self.up_file.read_text())
            return found
        return {}

    def secrets(self, *, new_data: bool) -> dict[str, str]:
        """The generated passwords by role. Made once, with the data they belong to."""
        file = self.path / "secrets.json"
        if not file.exists():
            if not new_data:
                raise EmbeddedError(
                    f"{file} is missing, and with it the passwords of the data in {self.path}: "
                    f"restore the file, or move the folder away to start anew"
                )
            made = {name: secrets.token_urlsafe(24) for name in SECRET_NAMES}
            write_private(file, json.dumps(made, indent=1) + "\n")
        known: dict[str, str] = json.loads(file.read_text())
        return known


def write_private(file: Path, text: str) -> None:
    """Replace a file in one step (a reader sees the old or the new one), mode 0600."""
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)


def mark(pid: int) -> dict[str, Any]:
    """The mark of a process for ever: its id alone may be given to another one later."""
    return {"pid": pid, "start": start_of(pid)}
