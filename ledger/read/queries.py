"""Fast queries of the state tables, each by an index: payments, resources."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from ledger.aggregates.authorization import AUTHORIZATION, AuthorizationPhase, AuthorizationState
from ledger.aggregates.resource import RESOURCE, ResourceState
from ledger.database import Database


class PaymentQuery(BaseModel):
    """A filter of payments: of an agent, in a state, asked for in `since` <= time < `until`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent_id: str | None = None
    state: AuthorizationPhase | None = None
    since: datetime | None = None
    until: datetime | None = None


async def payments(
    database: Database, query: PaymentQuery, *, limit: int
) -> list[AuthorizationState]:
    """The newest `limit` payments that were asked for, whatever their outcome.

    Raises DatabaseUnavailable.
    """
    statement = f"{payments_query(query)} LIMIT %(limit)s"
    values = query.model_dump(exclude_none=True) | {"limit": limit}
    return [
        AuthorizationState.model_validate(AUTHORIZATION.state_of(row))
        for row in await _rows(database, statement, values)
    ]


def payments_query(query: PaymentQuery) -> str:
    """The query for payments, newest first; its values are the fields of the filter that are
    set."""
    conditions = {
        "agent_id": "agent_id = %(agent_id)s",
        "state": "state = %(state)s",
        "since": "requested_at >= %(since)s",
        "until": "requested_at < %(until)s",
    }
    given = query.model_dump(exclude_none=True)
    found = [condition for name, condition in conditions.items() if name in given]
    where = f" WHERE {' AND '.join(found)}" if found else ""
    return f"{AUTHORIZATION.selection}{where} ORDER BY requested_at DESC"


async def present_resources(
    database: Database, environment: str, *, kind: str | None = None, limit: int
) -> list[ResourceState]:
    """The present resources of an environment, by kind and name. Raises DatabaseUnavailable."""
    statement = f"{resources_query(kind)} LIMIT %(limit)s"
    values = {"environment": environment, "kind": kind, "limit": limit}
    return [
        ResourceState.model_validate(RESOURCE.state_of(row))
        for row in await _rows(database, statement, values)
    ]


def resources_query(kind: str | None) -> str:
    """The query for the present resources of `environment`, and of `kind` if there is one."""
    only = "" if kind is None else " AND kind = %(kind)s"
    where = f"environment = %(environment)s AND state = 'present'{only}"
    return f"{RESOURCE.selection} WHERE {where} ORDER BY kind, name"


async def _rows(database: Database, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        cursor = await connection.execute(query.encode(), values)
        return await cursor.fetchall()
