"""`amends rebuild`: computes the rows of a table from the log."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from starter.cli import options, output
from starter.client.environment import setting, settings
from starter.client.errors import AmendsError, BadRequest, Unreachable, WrongSetting

if TYPE_CHECKING:
    from ledger.audit.rebuild import Rebuilt


@click.command()
@click.argument("table")
@options.as_json
def rebuild(table: str, as_json: bool) -> None:
    """Rebuild the rows of TABLE from the log.

    TABLE is a state table or spend_windows. The log is only read; writers may go on. The command
    needs AMENDS_MIGRATION_URL, the owner's.

    Exit status 1 if an event can't be replayed; then the table stays as it is.
    """
    rebuilt = asyncio.run(_rebuild(table))
    if as_json:
        output.document(asdict(rebuilt))
        return
    output.line(
        f"{rebuilt.table}: {rebuilt.rows} rows from {rebuilt.events} events in {rebuilt.seconds} s"
    )
    output.line(
        f"{rebuilt.wrong} rows were wrong, {rebuilt.missing} were missing, "
        f"{rebuilt.strays} had no event and are gone"
    )


async def _rebuild(table: str) -> "Rebuilt":
    from ledger.aggregates.aggregate import UnknownEvent
    from ledger.audit.rebuild import check_table, rebuild
    from ledger.errors import (
        DatabaseUnavailable,
        EndedBySetting,
        LogDamaged,
        NeverWorks,
        NoRoom,
        TryAgain,
    )
    from starter.client.reading import SCHEMA, unlike_ours

    try:
        check_table(table)
        if (url := setting("AMENDS_MIGRATION_URL", settings())) is None:
            raise Unreachable(
                "AMENDS_MIGRATION_URL is not set: set it, or run amends up in this folder"
            )
        return await rebuild(url, table)
    except EndedBySetting as error:
        raise WrongSetting(f"the table can't be rebuilt: {error}") from None
    except NoRoom as error:
        raise Unreachable(f"the table can't be rebuilt now: {error}") from None
    except DatabaseUnavailable:
        raise Unreachable(
            "the ledger can't be reached: run amends up here, or correct AMENDS_MIGRATION_URL"
        ) from None
    except TryAgain as error:
        raise Unreachable(str(error)) from None
    except (LogDamaged, UnknownEvent) as error:
        raise AmendsError(str(error)) from None
    except NeverWorks as error:
        raise BadRequest(str(error)) from None
    except SCHEMA as error:
        raise unlike_ours(error) from None
