"""`amends log`, `amends follow`: the events of the log, and new ones as they are written."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from starter.cli import events, options, output
from starter.client.errors import InvalidInput

if TYPE_CHECKING:
    from ledger.database import Database
    from ledger.read.global_order import Token
    from ledger.read.log import LoggedEvent, Wanted
    from ledger.read.subscription import Follower

Command = TypeVar("Command", bound=Callable[..., Any])
# Far above any page, and within what the database counts.
_LIMIT = click.IntRange(min=1, max=10**9)

_FILTERS = (
    click.argument("aggregate", metavar="[ID]", required=False),
    click.option("--saga", metavar="ID", help="Only events that this saga wrote."),
    click.option(
        "--aggregate-type",
        metavar="TYPE",
        help="Only events of this type of aggregate: authorization, resource, step, ...",
    ),
    click.option(
        "--user", metavar="WHO", help="Only events of this actor: user:…, agent:… or system:…."
    ),
    click.option(
        "--type",
        "types",
        metavar="EVENT",
        multiple=True,
        help="Only events of this type; repeatable.",
    ),
    click.option(
        "--from",
        "since",
        metavar="TIME",
        help="Only from this time on: ISO 8601, or PT1H: an hour ago.",
    ),
    click.option("--to", "until", metavar="TIME", help="Only events before this time."),
    click.option(
        "--after", metavar="TOKEN", help="Start after this cursor: the token of an event."
    ),
)


def _filtered(command: Command) -> Command:
    """Add the filters of both commands."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@dataclass(frozen=True)
class _Filters:
    """The filter options as they were typed."""

    aggregate: str | None
    saga: str | None
    aggregate_type: str | None
    user: str | None
    types: tuple[str, ...]
    since: str | None
    until: str | None
    after: str | None

    async def wanted(self, database: "Database") -> "Wanted":
        """The filters as the ledger reads them. Raises InvalidInput, and the ledger's NotFound and
        Ambiguous."""
        from ledger.read.log import Wanted
        from starter.cli.filters import known_event_types, user_form
        from starter.cli.moments import parse_past
        from starter.client.reading import meant_by

        user_form("--user", self.user)
        known_event_types(self.types)
        now = datetime.now(UTC)
        found = await meant_by(database, self.aggregate) if self.aggregate else None
        # A saga's own events and those that it wrote elsewhere are one story.
        story = found.removeprefix("saga/") if found and found.startswith("saga/") else None
        saga = await meant_by(database, self.saga) if self.saga else None
        if saga and not saga.startswith("saga/"):
            raise InvalidInput("--saga", "is not a saga: amends sagas lists the sagas")
        if saga and story and saga != found:
            raise InvalidInput("--saga", "names another saga than ID")
        return Wanted(
            aggregate=None if story else found,
            saga_id=story or (saga.removeprefix("saga/") if saga else None),
            aggregate_type=_aggregate_type(self.aggregate_type),
            user_id=self.user,
            event_types=self.types,
            since=parse_past(self.since, now=now, field="--from") if self.since else None,
            until=parse_past(self.until, now=now, field="--to") if self.until else None,
        )

    def place(self) -> "Token | None":
        """The cursor of `--after`. Raises InvalidInput for a text that is no cursor."""
        from ledger.read.global_order import Token

        try:
            return Token.parse(self.after) if self.after else None
        except ValueError as error:
            raise InvalidInput("--after", str(error)) from None


def _aggregate_type(name: str | None) -> str | None:
    from ledger.aggregates.names import NAMED
    from starter.cli.filters import known

    known("--aggregate-type", name, NAMED)
    return name


@click.command()
@_filtered
@click.option("--limit", type=_LIMIT, default=100, show_default=True)
@click.option("--all", "everything", is_flag=True, help="Print all events, without a limit.")
@click.option(
    "--newest-first/--oldest-first",
    "newest_first",
    default=None,
    help="The order (default: the newest first; with --after the oldest first).",
)
@options.utc
@options.as_json
def log(
    limit: int, everything: bool, newest_first: bool | None, as_json: bool, **filters: Any
) -> None:
    """Print the events of ID, or of the whole log, the newest first.

    The events of a saga include those of its steps. With --json each event has a `token`, the
    cursor from which `log --after` and `follow --after` go on; it is null while an older
    transaction is open that may still write before the event.
    """
    from starter.cli.client import with_ledger

    chosen = _Filters(**filters)
    after = chosen.place()
    wanted_number = None if everything else limit

    async def work(database: "Database") -> bool:
        from ledger.read.log import stream

        found = stream(
            database,
            await chosen.wanted(database),
            # One more, to see whether there is one.
            limit=None if wanted_number is None else wanted_number + 1,
            after=after,
            newest_first=after is None if newest_first is None else newest_first,
        )
        first = _First(found, wanted_number)
        async with aclosing(found):
            await _print(first.events(), as_json)
        return first.more

    if with_ledger(work):
        output.more(limit, as_json=as_json)


class _First:
    """The first events of a stream, and in `more` whether there are others."""

    def __init__(self, found: "AsyncIterator[LoggedEvent]", number: int | None) -> None:
        self._found, self._number = found, number
        self.more = False

    async def events(self) -> "AsyncIterator[LoggedEvent]":
        given = 0
        async for event in self._found:
            if given == self._number:
                self.more = True
                return
            yield event
            given += 1


async def _print(found: "AsyncIterator[LoggedEvent]", as_json: bool) -> None:
    if not as_json:
        await events.show_stream(found)
        return
    with output.Array() as array:
        async for event in found:
            array.add(event.document())


@click.command()
@_filtered
@click.option("--limit", type=_LIMIT, help="End after this number of events.")
@options.utc
@options.as_json_lines
def follow(limit: int | None, as_json: bool, **filters: Any) -> None:
    """Print events as they are written, until Ctrl-C.

    Each event comes once and none is missed. From now on, or from --after TOKEN or --from TIME;
    `--after 0-0-0` begins with the first event ever. The last line names the cursor (token) from
    which to go on; with --json each event has one too, and the last line has nothing else. Events
    wait for older transactions that are open anywhere in the cluster; after a few seconds stderr
    names the holder.
    """
    from starter.cli.client import with_ledger

    chosen = _Filters(**filters)
    after = chosen.place()
    followers: list[Follower] = []

    async def work(database: "Database") -> None:
        from ledger.read.global_order import START
        from ledger.read.subscription import Follower

        wanted = await chosen.wanted(database)
        begin = after or (START if wanted.since else None)
        followers.append(Follower(database, wanted, after=begin, tell=output.aside))
        await _print_live(followers[0], limit, as_json)

    # The ordinary end of this command.
    with suppress(KeyboardInterrupt):
        with_ledger(work)
    for follower in followers:
        _print_token(follower, as_json)


async def _print_live(follower: "Follower", limit: int | None, as_json: bool) -> None:
    given = 0
    async with aclosing(follower.events()) as found:
        async for event in found:
            if as_json:
                click.echo(output.compact(event.document()))
            else:
                output.line(events.in_a_line(event))
            given += 1
            if given == limit:
                return


def _print_token(follower: "Follower", as_json: bool) -> None:
    if follower.token is None:
        return
    if as_json:
        click.echo(output.compact({"token": str(follower.token)}))
    else:
        output.aside(f"to go on: amends follow --after {follower.token}")
