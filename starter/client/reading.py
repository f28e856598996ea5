"""Opens the ledger for a reader, whose errors are those of the client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import ProgrammingError, errors

from ledger.aggregates.errors import RowUnreadable, UnknownEvent
from ledger.database import Database, open_database
from ledger.errors import (
    Ambiguous,
    DatabaseUnavailable,
    EndedBySetting,
    LogDamaged,
    NoRoom,
    NotFound,
    NotThere,
    StateRefused,
    TryAgain,
)
from ledger.read.names import newest_run, resolve_id
from starter.client.environment import FOLDER, LedgerAddress, is_up
from starter.client.errors import AmendsError, NotAllowed, NotKnown, Unreachable, WrongSetting

# Of a statement that asks for what is not there, is of another type, or may not be read.
SCHEMA = (
    *(errors.InvalidSchemaName, errors.UndefinedTable, errors.UndefinedColumn),
    *(errors.UndefinedFunction, errors.UndefinedObject, errors.DatatypeMismatch),
    errors.InsufficientPrivilege,
)


def unlike_ours(error: ProgrammingError) -> AmendsError:
    """The error for a database whose schema is not the ledger's, or not the one of this version."""
    if isinstance(error, errors.InvalidSchemaName | errors.UndefinedTable):
        return Unreachable("no ledger in this database: run amends migrate")
    return AmendsError(
        f"the ledger's schema is not that of this version (SQLSTATE {error.sqlstate}): amends "
        "verify lists what is missing or changed; run amends migrate where the ledger is older"
    )


@asynccontextmanager
async def reading(address: LedgerAddress, *, wait_s: float = 5.0) -> AsyncIterator[Database]:
    """The ledger, for a reader, who waits at most `wait_s` for a connection. Raises Unreachable,
    WrongSetting and NotKnown for what fails inside."""
    try:
        async with open_database(
            address.url, size=2, wait_s=wait_s, pooling=address.pooling
        ) as database:
            yield database
    except EndedBySetting as error:
        raise WrongSetting(f"the ledger can't be read: {error}") from None
    except NoRoom as error:
        raise Unreachable(f"the ledger can't be read now: {error}") from None
    except DatabaseUnavailable as error:
        raise Unreachable(_out_of_reach(error)) from None
    except TryAgain as error:
        raise Unreachable(f"the ledger is busy: {error}: ask again") from None
    except NotThere as error:
        raise NotKnown(str(error)) from None
    except NotFound as error:
        raise NotKnown(f"{error}: amends sagas and amends log list the names") from None
    except (Ambiguous, StateRefused) as error:
        raise NotAllowed(str(error)) from None
    except (UnknownEvent, LogDamaged, RowUnreadable) as error:
        raise AmendsError(str(error)) from None
    except SCHEMA as error:
        raise unlike_ours(error) from None


def _out_of_reach(error: DatabaseUnavailable) -> str:
    if is_up():
        return (
            f"the ledger can't be read while amends up runs here ({error}): {FOLDER}/logs/"
            "postgres.log has the cause, such as a full disk or too many connections"
        )
    return "the ledger can't be reached: run amends up here, or correct AMENDS_AUDIT_URL"


async def meant_by(database: Database, text: str) -> str:
    """The aggregate that a short name means: see `resolve_id`; the name of a schedule means its
    newest run. Raises the ledger's NotFound and Ambiguous."""
    try:
        return await resolve_id(database, text)
    except NotFound:
        if run := await newest_run(database, text):
            return f"saga/{run}"
        raise
