"""A network namespace of Linux: a server in it listens where no other process of the machine is.

Also a program, which ends with status 0 where the machine lets us make one.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_ESTABLISHED = "01"
# Of an address of IPv4, what stands before it in the table.
_TABLES = {"": "tcp", "0000000000000000FFFF0000": "tcp6"}


def is_possible() -> bool:
    """Whether the machine lets us make one: tried by a process, since nothing leads back."""
    if sys.platform != "linux":
        return False
    tried = subprocess.run([sys.executable, "-I", "-S", __file__], capture_output=True, check=False)
    return tried.returncode == 0


def leave_network() -> None:
    """Move this process, which has one thread, to an empty network. Raises OSError where the
    machine does not let us."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    # Root in a container may make a network only together with a user namespace.
    if libc.unshare(_CLONE_NEWNET) != 0:
        if libc.unshare(_CLONE_NEWNET | _CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            Path("/proc/self", name).write_text(text)
    with socket.socket() as probe:
        (flags,) = struct.unpack_from("h", _interface(probe, _SIOCGIFFLAGS, 0), 16)
        _interface(probe, _SIOCSIFFLAGS, flags | _IFF_UP)


def _interface(probe: socket.socket, request: int, flags: int) -> bytes:
    return fcntl.ioctl(probe, request, struct.pack("16sh14x", b"lo", flags))


class Connections:
    """The TCP connections of the network in which it was made, as the kernel lists them. A client
    may have a socket of either family: one of IPv6 may connect to an address of IPv4."""

    def __init__(self) -> None:
        # Open for as long as we run: in another network the paths mean other tables.
        self._tables = {
            prefix: os.open(f"/proc/self/net/{name}", os.O_RDONLY)
            for prefix, name in _TABLES.items()
            if Path("/proc/self/net", name).exists()
        }

    def owner(self, peer: tuple[str, int], here: tuple[str, int]) -> int | None:
        """The user id of the process at the other end; None when it is gone. A connection that it
        has closed belongs to nobody, and the kernel would call that 0."""
        for prefix, table in self._tables.items():
            wanted = [prefix + _hex(peer), prefix + _hex(here), _ESTABLISHED]
            os.lseek(table, 0, os.SEEK_SET)
            text = b"".join(iter(partial(os.read, table, 1 << 16), b"")).decode()
            for line in text.splitlines():
                fields = line.split()
                if fields[1:4] == wanted:
                    return int(fields[7])
        return None


def _hex(address: tuple[str, int]) -> str:
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"


if __name__ == "__main__":
    leave_network()
