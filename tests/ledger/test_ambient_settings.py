"""Answers and rules rely on the settings that a session sets, never on those it finds."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection, conninfo, sql
from psycopg.rows import DictRow
from temporalio.exceptions import ApplicationError

from activities.adapters.mock import Fault, MockBank, create_mock_bank
from activities.classification import classify
from activities.providers.postgres.server import SETTINGS as PROVIDER
from activities.providers.postgres.server import Server
from ledger.audit.rebuild import rebuild
from ledger.database import Database, open_database
from ledger.errors import EndedBySetting
from ledger.migrations import upgrade as migrate
from ledger.migrations.partitions import create_partitions
from ledger.session import SETTINGS, connect
from starter.cli.run import run
from starter.client.environment import LedgerAddress
from starter.client.errors import Unreachable
from starter.client.reading import reading
from tests.conftest import CloneDatabase
from tests.ledger import writing
from tests.ledger.conftest import (
    Clone,
    WrittenTemplate,
    create_database,
    dropped_afterwards,
)
from worker import process
from worker.embedded.servers import EmbeddedServers
from worker.settings import Settings, SettingsError

QUESTIONS = (
    ("verify", "--json"),
    ("verify",),
    ("log", "--json"),
    ("show", "saga/payment/rent", "--json"),
    ("show", "policy/expense-bot"),
    ("payments", "--json"),
    ("diff", "a-2", "1", "11", "--json"),
    ("blame", "a-2", "--json"),
)
# Each is valid, and none is what the ledger needs.
VALUES = {
    "DateStyle": ("SQL, DMY", "German", "Postgres, MDY"),
    "IntervalStyle": ("sql_standard", "postgres_verbose", "iso_8601"),
    "TimeZone": ("America/New_York", "Asia/Kathmandu", "<UTC>-5"),
    "bytea_output": ("escape",),
    "client_encoding": ("LATIN1", "SQL_ASCII", "EUC_JP"),
    "default_transaction_isolation": ("serializable", "repeatable read"),
    "default_transaction_read_only": ("on",),
    "exit_on_error": ("on",),
    "extra_float_digits": ("-15", "3"),
    "idle_in_transaction_session_timeout": ("1ms",),
    "idle_session_timeout": ("5s",),
    "lock_timeout": ("1ms",),
    "quote_all_identifiers": ("on",),
    "search_path": ("ledger", "nowhere", "ledger, pg_catalog", ""),
    "standard_conforming_strings": ("off",),
    # Shorter, and no session could begin.
    "statement_timeout": ("5s",),
    "synchronous_commit": ("off",),
    "transaction_timeout": ("5s",),
}
# What libpq reads where a connection does not say it.
VARIABLES = {"PGTZ": "TimeZone", "PGDATESTYLE": "DateStyle", "PGCLIENTENCODING": "client_encoding"}

Some = dict[str, str]


@dataclass(frozen=True)
class Ambient:
    """Settings at every level at which somebody may leave some."""

    database: Some
    role: Some
    url: Some
    variables: Some
    pgoptions: Some


def some() -> st.SearchStrategy[Some]:
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}
    )


AMBIENTS = st.builds(
    Ambient,
    database=some(),
    role=some(),
    url=some(),
    variables=st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(VALUES[of]) for name, of in VARIABLES.items()}
    ),
    pgoptions=some(),
)


@pytest.fixture(scope="module")
async def told(
    servers: EmbeddedServers, written_template: WrittenTemplate, clone_database: CloneDatabase
) -> AsyncIterator[Clone]:
    """A ledger with rows in every table that nobody writes to any more."""
    name = await written_template(_fill)
    async with dropped_afterwards(servers, await clone_database(name)) as clone:
        # Whose own sessions are in another database: none of these settings is for them.
        yield replace(clone, superuser=servers.main.url())


async def _fill(database: Database) -> None:
    await writing.fill(database)
    # In letters that not every encoding has.
    await writing.write(
        database, "resource/dev/db", writing.resource_made(change="change/db", x="año, 東京")
    )


async def answers(capsys: pytest.CaptureFixture[str]) -> list[tuple[int, str, str]]:
    found = []
    for question in QUESTIONS:
        # Commands have an event loop of their own, so not in the thread of ours.
        status = await asyncio.to_thread(run, list(question))
        out, err = capsys.readouterr()
        found.append((status, out, err))
    return found


async def apply(clone: Clone, ambient: Ambient) -> None:
    name = sql.Identifier(str(conninfo.conninfo_to_dict(clone.owner)["dbname"]))
    statements = [sql.SQL("ALTER DATABASE {} RESET ALL").format(name)]
    statements += [sql.SQL("ALTER ROLE amends_auditor IN DATABASE {} RESET ALL").format(name)]
    for text, values in (
        ("ALTER DATABASE {} SET {} = {}", ambient.database),
        ("ALTER ROLE amends_auditor IN DATABASE {} SET {} = {}", ambient.role),
    ):
        statements += [
            sql.SQL(text).format(name, sql.Identifier(setting), listed(setting, value))
            for setting, value in values.items()
        ]
    await clone.execute(clone.superuser, *(each.as_string() for each in statements))


def listed(setting: str, value: str) -> sql.Composable:
    """A list of names is not one name."""
    values = value.split(", ") if setting == "search_path" else [value]
    return sql.SQL(", ").join(map(sql.Literal, values))


def options(values: Some) -> str:
    """As libpq reads them: a space ends a value that no backslash goes before."""
    return " ".join(f"-c {name}=" + value.replace(" ", "\\ ") for name, value in values.items())


def environment(clone: Clone, ambient: Ambient) -> dict[str, str]:
    more = f"&options={quote(options(ambient.url), safe='')}" if ambient.url else ""
    pgoptions = {"PGOPTIONS": options(ambient.pgoptions)} if ambient.pgoptions else {}
    return {"AMENDS_AUDIT_URL": clone.auditor + more, **ambient.variables, **pgoptions}


@given(ambient=AMBIENTS)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_no_setting_of_a_server_a_role_or_an_environment_changes_an_answer(
    told: Clone, capsys: pytest.CaptureFixture[str], ambient: Ambient
) -> None:
    none = Ambient({}, {}, {}, {}, {})
    await apply(told, none)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AMENDS_AUDIT_URL", told.auditor)
        plain = await answers(capsys)
    await apply(told, ambient)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment(told, ambient).items():
            patched.setenv(name, value)
        assert await answers(capsys) == plain


async def test_a_ledger_that_is_made_and_written_under_strange_settings_is_like_any_other(
    servers: EmbeddedServers,
) -> None:
    await create_database(servers, "strange")
    async with dropped_afterwards(servers, "strange") as clone:
        admin = replace(clone, superuser=servers.main.url())
        strange = {name: values[0] for name, values in VALUES.items()}
        await apply(admin, Ambient(strange, {}, {}, {}, {}))
        await asyncio.to_thread(migrate.upgrade, clone.owner)
        async with open_database(clone.worker, size=2, writes=True) as database:
            await writing.fill(database)
            await create_partitions(database, 9)
            async with database.connection() as connection:
                await connection.execute("SET quote_all_identifiers = on")
                await connection.execute("SELECT ledger.create_partitions(10)")
        assert (await rebuild(clone.owner, "resources")).wrong == 0
        rules = [each for each in (await clone.verify()).findings if each.kind == "rule"]
        assert rules == []


async def test_every_session_has_the_settings_it_relies_on(
    servers: EmbeddedServers, clone: Clone
) -> None:
    admin = replace(clone, superuser=servers.main.url())
    strange = {name: values[0] for name, values in VALUES.items()}
    await apply(admin, Ambient(strange, {}, {}, {}, {}))
    expected = dict(SETTINGS) | {"synchronous_commit": "on"}
    for url in (clone.worker, clone.owner, clone.auditor):
        async with open_database(url, size=1) as database, database.connection() as connection:
            assert await found(connection, expected) == expected
    async with await connect(clone.owner) as alone:
        assert await found(alone, expected) == expected
    async with Server(clone.owner).session() as session:
        others = expected.keys() - PROVIDER
        assert await found(session, others) == {name: expected[name] for name in others}
    await create_mock_bank(clone.owner)
    async with MockBank(clone.owner) as bank:
        assert await bank.find("payment/rent") is None
        await bank.inject(Fault("payment/rent", "refuse"))
    # One that is stronger stays.
    await apply(admin, Ambient({"synchronous_commit": "remote_apply"}, {}, {}, {}, {}))
    async with open_database(clone.worker, size=1) as database, database.connection() as connection:
        assert await found(connection, ["synchronous_commit"]) == {
            "synchronous_commit": "remote_apply"
        }


async def found(connection: AsyncConnection[DictRow], names: Iterable[str]) -> Some:
    cursor = await connection.execute(
        "SELECT given AS name, current_setting(given) AS value FROM unnest(%s::text[]) AS given",
        ([*names],),
    )
    return {row["name"]: row["value"] for row in await cursor.fetchall()}


@pytest.mark.parametrize(
    ("setting", "url", "variables"),
    [
        ("no_such", "&options=-c%20no_such%3D1", {}),
        ("no_such", "", {"PGOPTIONS": "-c no_such=1"}),
        ("work_mem", "&options=-c%20work_mem%3Dmuch", {}),
        ("options", "&options=verbose", {}),
        ("TimeZone", "", {"PGTZ": "Nowhere/Land"}),
        ("sslmode", "&sslmode=sometimes", {}),
        ("no_such", "&no_such=1", {}),
    ],
)
async def test_an_option_that_the_server_refuses_is_named_and_is_not_an_unreachable_server(
    told: Clone,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    url: str,
    variables: Some,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AMENDS_AUDIT_URL", told.auditor + url)
    monkeypatch.setenv("AMENDS_MIGRATION_URL", told.owner + url)
    for question in ("verify",), ("sagas", "--json"), ("rebuild", "agents"):
        assert await asyncio.to_thread(run, list(question)) == 2
        said = capsys.readouterr().err
        assert f"setting {setting} is in the way" in said
        assert "reached" not in said
    with pytest.raises(SettingsError, match=f"{setting} is in the way"):
        await process.migrate(Settings(migration_url=told.owner + url))
    async with open_database(told.worker + url, size=1, writes=True) as database:
        with pytest.raises(SettingsError, match=f"setting {setting} is in the way"):
            await process.first_partitions(database)


# What keeps sessions out of a server that is up, what is said of it, and the exit status.
KEPT_OUT = {
    "ALTER DATABASE {0} CONNECTION LIMIT 0": ("PostgreSQL has too many connections", 3),
    "ALTER ROLE amends_auditor IN DATABASE {0} SET local_preload_libraries = 'nothing_there'": (
        "setting local_preload_libraries, or session_preload_libraries, is in the way",
        2,
    ),
}


@pytest.mark.parametrize("statement", KEPT_OUT)
async def test_a_server_that_is_up_and_takes_no_session_is_not_called_unreachable(
    clone: Clone,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(clone.superuser)["dbname"]
    await clone.execute(clone.superuser, statement.format(name))
    monkeypatch.setenv("AMENDS_AUDIT_URL", clone.auditor)
    sentence, status = KEPT_OUT[statement]
    assert await asyncio.to_thread(run, ["sagas"]) == status
    said = capsys.readouterr().err
    assert sentence in said
    assert "reached" not in said


async def test_a_disk_that_is_full_is_named_to_a_reader(clone: Clone) -> None:
    full = b"DO $$ BEGIN RAISE EXCEPTION 'could not write' USING ERRCODE = '53100'; END $$"
    with pytest.raises(Unreachable, match="the disk of the PostgreSQL server is full"):
        async with reading(LedgerAddress(clone.auditor)) as ledger, ledger.connection() as session:
            await session.execute(full)


@pytest.mark.parametrize("setting", ["statement_timeout", "transaction_timeout"])
async def test_a_statement_that_a_setting_ends_names_the_setting(told: Clone, setting: str) -> None:
    async def under_it() -> None:
        async with database.connection() as connection:
            await connection.execute(f"SET {setting} = '10ms'".encode())
            await connection.begin()
            await connection.execute("SELECT pg_sleep(9)")

    async with open_database(told.owner, size=1) as database:
        with pytest.raises(EndedBySetting, match=f"setting {setting}") as ended:
            await under_it()
        failure = classify(ended.value)
        assert isinstance(failure, ApplicationError)
        assert failure.type == "unavailable"
        assert setting in failure.message
