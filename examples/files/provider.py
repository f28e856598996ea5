"""A provider of one's own: text files in a directory, as the kind `files.document`.

The first line of each file is its marker, which says which resource it is and which change last
wrote it. A file without one is not managed and is never touched.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from activities.providers.kinds import Kinds, ProviderType
from activities.providers.provider import (
    Marker,
    Observed,
    Provider,
    ProviderRefused,
    ProviderUnavailable,
    Spec,
)

KIND = "files.document"


class DocumentSpec(Spec):
    """A file of this text. A change of the text is an update; the undo brings the old text back."""

    text: Annotated[str, Field(max_length=10_000)] = ""
    holds_data: ClassVar[bool] = False

    @classmethod
    def check_name(cls, name: str) -> str:
        """The name of a file in the directory. Raises ValueError."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}\.txt", name):
            raise ValueError("must be 1 to 60 of a-z 0-9 _ - and end in .txt")
        return name


KINDS: Kinds = {KIND: DocumentSpec}


class FilesProvider:
    """The files of one directory; see Provider for what each method promises."""

    kinds = KINDS

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def read(self, kind: str, name: str, spec: Spec) -> Observed | None:
        """The file as it is now; None when there is none. Raises ProviderUnavailable."""
        return await asyncio.to_thread(self._read, self._path(name))

    async def apply(self, kind: str, name: str, spec: Spec, marker: Marker) -> dict[str, Any]:
        """Write the file, whole or not at all. Raises ProviderRefused `not_managed`."""
        assert isinstance(spec, DocumentSpec)
        path = self._path(name)
        await asyncio.to_thread(self._write, path, marker, spec.text)
        return {"path": str(path)}

    async def delete(
        self, kind: str, name: str, spec: Spec, *, resource: str, allow_irreversible: bool
    ) -> None:
        """Remove the file; absent is fine. Raises ProviderRefused `not_managed`."""
        await asyncio.to_thread(self._remove, self._path(name), resource)

    def _path(self, name: str) -> Path:
        try:
            return self._directory / DocumentSpec.check_name(name)
        except ValueError as error:
            raise ProviderRefused(f"name: {error}", "invalid_name") from error

    def _read(self, path: Path) -> Observed | None:
        if path.is_symlink():
            return Observed({"text": ""}, None)
        try:
            written = path.read_bytes()
        except FileNotFoundError:
            if path.parent.is_dir():
                return None
            raise ProviderUnavailable(f"the directory of {path.name} is not there") from None
        except OSError as error:
            raise ProviderUnavailable(f"{path.name} can't be read: {error.strerror}") from error
        # A file of somebody else's may be of any bytes.
        head, _, text = written.decode(errors="replace").partition("\n")
        marker = Marker.parse(head)
        return Observed({"text": text if marker else ""}, marker)

    def _write(self, path: Path, marker: Marker, text: str) -> None:
        self._refuse_foreign(path, marker.resource)
        try:
            # A name that no file has; whatever a killed write leaves begins with a dot.
            handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            try:
                with open(handle, "wb") as file:
                    file.write(f"{marker}\n{text}".encode())
                os.chmod(draft, 0o644)
                os.replace(draft, path)
            except BaseException:
                os.unlink(draft)
                raise
        except OSError as error:
            raise ProviderUnavailable(f"{path.name} can't be written: {error.strerror}") from error

    def _remove(self, path: Path, resource: str) -> None:
        self._refuse_foreign(path, resource)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ProviderUnavailable(f"{path.name} can't be removed: {error.strerror}") from error

    def _refuse_foreign(self, path: Path, resource: str) -> None:
        there = self._read(path)
        if there is None or (there.managed_by and there.managed_by.resource == resource):
            return
        owner = f"managed as {there.managed_by.resource}" if there.managed_by else "not managed"
        raise ProviderRefused(f"{path.name} exists, {owner}: choose another name", "not_managed")


def _create(environment: Mapping[str, str]) -> Provider | None:
    """Set up by FILES_DIRECTORY, which must exist. Raises ValueError."""
    directory = environment.get("FILES_DIRECTORY")
    if not directory:
        return None
    if not os.path.isdir(directory):
        raise ValueError("FILES_DIRECTORY is not a directory")
    return FilesProvider(Path(os.path.abspath(directory)))


FILES = ProviderType(KINDS, _create)
