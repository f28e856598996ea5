"""The example of a provider of one's own: found by its entry point, applied, undone, refused."""

import asyncio
import os
import re
import sys
import tomllib
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.providers import kinds
from activities.providers.kinds import (
    BUILT_IN,
    GROUP,
    ProviderNotLoaded,
    ProviderType,
    created,
    installed,
    known_kinds,
    with_entry_points,
)
from activities.providers.provider import Marker, Provider, ProviderRefused, ProviderUnavailable
from examples.files.provider import KIND, DocumentSpec, FilesProvider
from ledger.audit.verify import verify
from ledger.database import Database
from tests.sagas.conftest import Place, working_for
from tests.support.driver import Json, new_id
from worker.embedded.servers import EmbeddedServers
from worker.settings import needed

ROOT = Path(__file__).parents[2]
QUEUE = "example-files"


def install(package: Path, site: Path) -> None:
    """What pip leaves of a package in an environment: its metadata with the entry points."""
    project = tomllib.loads(package.read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    points = project["entry-points"][GROUP].items()
    lines = [f"[{GROUP}]", *(f"{name} = {value}" for name, value in points)]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
async def carried(
    client: Client, place: Place, directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[None]:
    """A worker in whose environment the package is installed."""
    site = tmp_path_factory.mktemp("site")
    install(ROOT / "examples/files/pyproject.toml", site)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "path", [str(site), *sys.path])
        patched.setenv("FILES_DIRECTORY", str(directory))
        forget_installed()
        async with working_for(client, place, QUEUE):
            yield
    forget_installed()


def forget_installed() -> None:
    installed.cache_clear()
    known_kinds.cache_clear()


def document(name: str, text: str) -> Json:
    return {"name": name, "kind": KIND, "spec": {"text": text}}


async def change(client: Client, *present: Json, **more: Any) -> Json:
    name = new_id("files")
    request = {"operation_id": name, "actor": "user:ana", "present": present, **more}
    return await client.execute_workflow(  # type: ignore[no-any-return]
        "InfrastructureSaga", request, id=f"change/{name}", task_queue=f"{QUEUE}-changes"
    )


async def test_a_kind_of_a_package_is_applied_updated_and_deleted(
    client: Client, ledger: Database, directory: Path, carried: None
) -> None:
    file = directory / "motd.txt"
    assert (await change(client, document("motd.txt", "at nine")))["state"] == "applied"
    assert file.read_text().partition("\n")[2] == "at nine"
    assert (await change(client, document("motd.txt", "at ten")))["state"] == "applied"
    assert file.read_text().partition("\n")[2] == "at ten"
    assert (await change(client, absent=["motd.txt"]))["state"] == "applied"
    assert not file.exists()
    assert (await verify(ledger)).findings == []


async def test_a_change_that_meets_a_foreign_file_undoes_its_own(
    client: Client, ledger: Database, directory: Path, carried: None
) -> None:
    (directory / "theirs.txt").write_text("somebody else's")
    mine = document("mine.txt", "a")
    theirs = document("theirs.txt", "b") | {"depends_on": ["mine.txt"]}
    result = await change(client, mine, theirs)
    assert (result["state"], result["reason"]) == ("compensated", "not_managed")
    assert not (directory / "mine.txt").exists()
    assert (directory / "theirs.txt").read_text() == "somebody else's"
    assert (await verify(ledger)).findings == []


async def test_the_undo_of_an_update_and_of_a_delete_brings_the_text_back(
    client: Client, ledger: Database, directory: Path, carried: None
) -> None:
    (directory / "foreign.txt").write_text("somebody else's")
    fails = document("foreign.txt", "b") | {"depends_on": ["changed.txt"]}
    assert (await change(client, document("changed.txt", "ñ\r\n"), document("gone.txt", "g")))[
        "state"
    ] == "applied"
    result = await change(client, document("changed.txt", "new"), fails, absent=["gone.txt"])
    assert result["state"] == "compensated"
    assert (directory / "changed.txt").read_bytes().partition(b"\n")[2] == "ñ\r\n".encode()
    assert (directory / "gone.txt").read_text().endswith("g")
    assert (await verify(ledger)).findings == []


FOREIGN = {
    "another resource's": f"{Marker('resource/dev/b.txt', 'change/one')}\n".encode(),
    "nobody's": b"theirs",
    "of any bytes": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
async def test_the_provider_touches_no_foreign_file_nor_link(
    tmp_path: Path, content: bytes
) -> None:
    provider, spec = FilesProvider(tmp_path), DocumentSpec(text="a")
    marker = Marker("resource/dev/a.txt", "change/one")
    (tmp_path / "b.txt").write_bytes(content)
    (tmp_path / "a.txt").symlink_to("elsewhere")
    (tmp_path / "c.txt").write_bytes(content)
    for name in ("a.txt", "c.txt"):
        with pytest.raises(ProviderRefused, match="exists"):
            await provider.apply(KIND, name, spec, marker)
        with pytest.raises(ProviderRefused, match="exists"):
            await provider.delete(
                KIND, name, spec, resource=marker.resource, allow_irreversible=False
            )
    await provider.apply(KIND, "d.txt", spec, marker)
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt", "c.txt", "d.txt"]
    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "c.txt").read_bytes() == content
    with pytest.raises(ProviderRefused, match="name"):
        await provider.apply(KIND, "../e.txt", spec, marker)


async def test_a_directory_that_is_away_is_not_an_absent_file(tmp_path: Path) -> None:
    provider = FilesProvider(tmp_path / "away")
    with pytest.raises(ProviderUnavailable):
        await provider.read(KIND, "a.txt", DocumentSpec())


async def test_every_call_may_be_repeated(tmp_path: Path) -> None:
    provider, spec = FilesProvider(tmp_path), DocumentSpec(text="a")
    marker = Marker("resource/dev/a.txt", "change/one")
    for _ in range(2):
        await provider.apply(KIND, "a.txt", spec, marker)
    seen = await provider.read(KIND, "a.txt", spec)
    assert seen is not None
    assert (seen.spec, seen.managed_by) == ({"text": "a"}, marker)
    for _ in range(2):
        await provider.delete(
            KIND, "a.txt", spec, resource=marker.resource, allow_irreversible=False
        )
    assert await provider.read(KIND, "a.txt", spec) is None


@pytest.mark.parametrize(
    "command",
    [["plan", "-"], ["worker", "--queue", "infrastructure"]],
    ids=["plan", "worker"],
)
async def test_with_a_package_that_cannot_be_loaded_nothing_starts(
    servers: EmbeddedServers, place: Place, tmp_path: Path, command: list[str]
) -> None:
    package = tmp_path / "pyproject.toml"
    good = (ROOT / "examples/files/pyproject.toml").read_text()
    package.write_text(good.replace("examples.files.provider", "no_such_module"))
    install(package, tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "amends"), *command),
        env=os.environ
        | servers.environment()
        | {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
            "AMENDS_DATABASE_URL": needed(place.settings.database_url, "the ledger"),
            "AMENDS_POSTGRES_TARGET_URL": servers.target_url,
        },
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate(b"present: []")
    assert process.returncode == 2
    assert "the provider files (no_such_module:FILES) can't be loaded" in said.decode()
    assert "Traceback" not in said.decode()


def point(value: str) -> EntryPoint:
    return EntryPoint("files", value, GROUP)


def _is_away(environment: Mapping[str, str]) -> Provider:
    raise KeyError("secret")


def _with_other_kinds(environment: Mapping[str, str]) -> Provider:
    return FilesProvider(Path("unused"))


# Named by the entry points below.
NO_MAPPING = ProviderType(["a.b"], _is_away)  # type: ignore[arg-type]
NO_NAME = ProviderType({"Files.Doc": DocumentSpec}, _is_away)
NO_SPEC = ProviderType({"files.other": dict}, _is_away)  # type: ignore[dict-item]
TAKEN = BUILT_IN["postgres"]
HERE = __name__


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("examples.files.missing:FILES", "can't be loaded (ModuleNotFoundError"),
        ("examples.files.provider:NOTHING", "can't be loaded (AttributeError"),
        ("examples.files.provider:FilesProvider", "is a type, not an"),
        (f"{HERE}:NO_MAPPING", "kinds are not a mapping"),
        (f"{HERE}:NO_NAME", "the kind 'Files.Doc' is not like postgres.role"),
        (f"{HERE}:NO_SPEC", "the spec of files.other is not a subclass"),
        (
            f"{HERE}:TAKEN",
            "offers the kind postgres.role, which Amends has",
        ),
    ],
)
def test_a_package_that_is_no_good_provider_is_named_with_what_to_do(value: str, why: str) -> None:
    with pytest.raises(ProviderNotLoaded) as refused:
        with_entry_points([point(value)])
    assert why in str(refused.value)
    assert f"the provider files ({value})" in str(refused.value)
    assert "uninstall" in str(refused.value)


@pytest.mark.parametrize(
    ("create", "why"),
    [(_is_away, "can't be created (KeyError)"), (_with_other_kinds, "has other kinds than")],
)
def test_a_provider_that_is_not_as_described_stops_the_worker(
    monkeypatch: pytest.MonkeyPatch, create: Any, why: str
) -> None:
    bad = ProviderType({"files.other": DocumentSpec}, create)
    monkeypatch.setattr(kinds, "installed", lambda: {"files": bad})
    with pytest.raises(ProviderNotLoaded, match=re.escape(why)) as refused:
        created({})
    assert "secret" not in str(refused.value)
