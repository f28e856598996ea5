"""The errors that keep the embedded servers from running: each message is one sentence for a
person.

EmbeddedError       exit status 3: a server can't run here
├── BadRequest      exit status 2: asked for something that can't be given (folder, port)
└── FolderHeld      another `amends up` holds the folder; `holder` says which
"""

from typing import Any


class EmbeddedError(Exception):
    """The root of the tree. The message names the file, package or log to look at."""

    exit_status = 3


class BadRequest(EmbeddedError):
    """The request can't be met: choose another folder or another port."""

    exit_status = 2


class FolderHeld(EmbeddedError):
    """Another process holds the data folder. `holder` is its up.json, None while it starts."""

    def __init__(self, message: str, holder: dict[str, Any] | None) -> None:
        super().__init__(message)
        self.holder = holder
