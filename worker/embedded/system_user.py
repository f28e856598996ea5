"""Finds the system user for PostgreSQL, which refuses to run as root."""

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from worker.embedded.errors import EmbeddedError

NAME = "amends-postgres"


def user_for(data: Path) -> str | None:
    """The user that shall run the cluster in `data`: its owner if there is one, else the system
    user.

    None when we are not root: then it runs as ourselves.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat().st_uid) != 0:
        return pwd.getpwuid(owner).pw_name
    _ensure_exists()
    return NAME


def number() -> int:
    """The id of the user that PostgreSQL runs as here: our own, unless we are root and the system
    user exists."""
    if os.geteuid() == 0 and _exists():
        return pwd.getpwnam(NAME).pw_uid
    return os.geteuid()


def _ensure_exists() -> None:
    # Two useradd at once may both succeed with different ids, and the files of the first are
    # then nobody's (seen). useradd replaces this file, so who comes later finds the user in it.
    with Path("/etc/passwd").open() as passwd:
        fcntl.flock(passwd, fcntl.LOCK_EX)
        if not _exists():
            _add()


def _add() -> None:
    useradd = shutil.which("useradd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if useradd is None:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root and useradd is missing here: "
            f"run this as another user, or create the system user {NAME}"
        )
    done = subprocess.run(
        [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise EmbeddedError(
            f"useradd could not create the system user {NAME}: {done.stderr.strip()}"
        )


def _exists() -> bool:
    try:
        pwd.getpwnam(NAME)
    except KeyError:
        return False
    return True


def make_reachable(path: Path) -> list[Path]:
    """Let the system user pass through the folders above `path` (o+x, nothing to read).

    Returns the folders that were changed.
    """
    closed = [
        folder for folder in path.resolve().parents if not folder.stat().st_mode & stat.S_IXOTH
    ]
    for folder in closed:
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
    return closed


def make_readable(tree: Path, sentinel: Path) -> None:
    """Let the system user read and run installed programs, if the installer's umask forbade it."""
    needed = stat.S_IROTH | stat.S_IXOTH
    if sentinel.stat().st_mode & needed == needed:
        return
    for path in _all_below(tree):
        mode = stat.S_IMODE(path.stat().st_mode)
        runs = stat.S_IXOTH if mode & stat.S_IXUSR else 0
        path.chmod(mode | stat.S_IROTH | runs)


def _all_below(tree: Path) -> Iterator[Path]:
    yield tree
    yield from (path for path in tree.rglob("*") if not path.is_symlink())
