"""Tells a filter that matches nothing because it is mistyped from one that matches nothing yet."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING

from starter.client.errors import BadRequest, InvalidInput

if TYPE_CHECKING:
    from ledger.database import Database

# More names than this are no help in a line.
_MOST = 12
_USER = re.compile(r"(user|agent|system):[A-Za-z0-9._@+-]{1,64}")


def known(option: str, given: str | None, names: Collection[str], where: str = "") -> None:
    """Raises InvalidInput for a value that is none of the names, with the names that are near it,
    or all of them, or `where` they are listed."""
    if given is None or given in names:
        return
    near = _near(given, names)
    if near:
        raise InvalidInput(option, f"is not known: did you mean {' or '.join(near)}?")
    if where:
        raise InvalidInput(option, f"is not known: {where}")
    listed = ", ".join(list(names)[:_MOST])
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    raise InvalidInput(option, f"one of {listed}{more} is needed")


def _near(given: str, names: Collection[str]) -> list[str]:
    by_small = {name.lower(): name for name in names}
    return [by_small[each] for each in get_close_matches(given.lower(), by_small, n=3)]


def user_form(option: str, given: str | None) -> None:
    """Raises InvalidInput for an actor that is not of the form `user:NAME`."""
    if given is not None and not _USER.fullmatch(given):
        near = f": did you mean user:{given}?" if _USER.fullmatch(f"user:{given}") else ""
        raise InvalidInput(option, f"user:NAME, agent:NAME or system:NAME is needed{near}")


async def known_agent(database: "Database", option: str, given: str | None) -> None:
    """Raises InvalidInput for an agent that was never registered and never asked."""
    from ledger.read.queries import agents, has_asked

    if given is None or await has_asked(database, given):
        return
    names = [agent["agent_id"] for agent in await agents(database)]
    known(option, given, names, where="amends agent list lists the agents")


async def known_mandate(database: "Database", given: str | None) -> None:
    """Raises InvalidInput for a mandate that was never granted."""
    from ledger.read.queries import mandates

    if given is not None:
        names = [mandate["mandate_id"] for mandate in await mandates(database)]
        known("--mandate", given, names, where="amends mandate list lists the mandates")


async def known_environment(database: "Database", given: str | None) -> None:
    """Raises InvalidInput for an environment in which there never was a resource; the default one
    may be empty."""
    from ledger.read.queries import environments

    if given in (None, "dev"):
        return
    names = await environments(database)
    where = f"resources are in {', '.join(names)}" if names else "no environment has resources"
    known("--environment", given, names, where=where)


async def known_kind(database: "Database", given: str | None) -> None:
    """Raises InvalidInput for a kind of which there never was a resource, and that no provider
    has."""
    from ledger.read.queries import kinds

    recorded = await kinds(database)
    if given is None or given in recorded:
        return
    from workflows.planning.validation import ProviderNotLoaded, known_kinds

    try:
        known("--kind", given, sorted({*recorded, *known_kinds()}))
    except ProviderNotLoaded as error:
        raise BadRequest(str(error)) from error


def known_event_types(given: Collection[str]) -> None:
    """Raises InvalidInput for an event type that this version does not know."""
    if not given:
        return
    from ledger.aggregates.registry import AGGREGATE_TYPES

    names = [event.__name__ for kind in AGGREGATE_TYPES.values() for event in kind.events]
    for each in given:
        known("--type", each, names, where="amends log lists events with their types")
