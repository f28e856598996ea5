"""Which process an id names: ids are given again, and clocks are corrected."""

from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def start_of(pid: int) -> str:
    """The start of the process with this id: with the id, no other process ever has it.

    On Linux the boot, and the clock ticks since it (proc_pid_stat(5), `starttime`): a Unix time is
    derived from the clock, and moves with each correction of that. Raises ProcessLookupError.
    """
    if not Path("/proc/self/stat").exists():
        return _by_psutil(pid)
    try:
        # The name of the program, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(f"no process has the id {pid}") from None
    boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    return f"{boot}/{int(fields[19])}"


def _by_psutil(pid: int) -> str:
    # Imported here: it takes 20 ms, and only macOS needs it.
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        raise ProcessLookupError(f"no process has the id {pid}") from None
