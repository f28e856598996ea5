"""Chooses ports on 127.0.0.1: asked for by the user, kept from the last run, or free ones.

A port on which nobody listens may be taken by any user of the machine, who is then asked in our
server's place. So where a server can be handed a listener, we open and keep the listener.
"""

import json
import random
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from worker.embedded.errors import BadRequest, EmbeddedError
from worker.embedded.folder import write_private

HOST = "127.0.0.1"

# Below the range from which Linux (32768) and macOS (49152) give ports to outgoing connections,
# so that a kept port is not taken by chance when we come back for it.
_FREE_PORTS = range(20_000, 32_000)


class Ports:
    """The ports of one data folder by name (`postgres`, `target`, `temporal`, `ui`, `health`)."""

    def __init__(self, file: Path, asked: Mapping[str, int]) -> None:
        self._file = file
        self._asked = dict(asked)
        self._refuse_one_for_two()
        self._kept: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        self._given: dict[str, int] = {}
        # The listeners of those taken with `listen`; their servers come and go.
        self.listeners: dict[str, socket.socket] = {}

    def take(self, name: str, *, listen: bool = False) -> int:
        """Take the port asked for, else the one of the last run, else a free one; with `listen`
        open its listener, which is open until `close`.

        Raises BadRequest when the port asked for is taken.
        """
        if name in self.listeners:
            return self._given[name]
        is_free = partial(self._listen, name) if listen else could_listen
        if name in self._asked:
            port = self._asked[name]
            if not is_free(port):
                raise BadRequest(
                    f"port {port} is taken by another program: "
                    f"choose another --{name}-port, or leave it out to get a free one"
                )
        else:
            port = self._kept.get(name, 0)
            if not port or port in self._others(name) or not is_free(port):
                port = self._free_port(is_free)
        self._given[name] = port
        self._kept[name] = port
        write_private(self._file, json.dumps(self._kept) + "\n")
        return port

    def _refuse_one_for_two(self) -> None:
        names: dict[int, str] = {}
        for name, port in self._asked.items():
            if (other := names.setdefault(port, name)) != name:
                raise BadRequest(
                    f"--{other}-port and --{name}-port are both {port}: choose two ports"
                )

    def forget(self, name: str) -> bool:
        """Forget a port that another program took first, so that it is not taken again. False when
        the user asked for it."""
        self._kept.pop(name, None)
        return name not in self._asked

    def close(self) -> None:
        """Close the listeners, after the servers have ended."""
        for listener in self.listeners.values():
            listener.close()
        self.listeners.clear()

    def _listen(self, name: str, port: int) -> bool:
        try:
            self.listeners[name] = socket.create_server((HOST, port))
        except OSError:
            return False
        return True

    def _others(self, name: str) -> set[int]:
        return {port for other, port in self._given.items() if other != name}

    def _free_port(self, is_free: Callable[[int], bool]) -> int:
        taken = {*self._given.values(), *self._asked.values()}
        for port in random.sample(_FREE_PORTS, k=200):
            if port not in taken and is_free(port):
                return port
        raise EmbeddedError(
            f"no free port was found between {_FREE_PORTS.start} and {_FREE_PORTS.stop}"
        )


def could_listen(port: int) -> bool:
    """Whether a server could listen on this port now (another may be quicker)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
