"""Fast queries of the state tables, each by an index: payments, resources."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, bindparam, literal_column, select

from ledger.aggregates.authorization import AUTHORIZATION, AuthorizationPhase, AuthorizationState
from ledger.aggregates.resource import RESOURCE, ResourceState
from ledger.database import Database, compiled


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
    statement = payments_statement(query).limit(bindparam("limit"))
    values = query.model_dump(exclude_none=True) | {"limit": limit}
    return [
        AuthorizationState.model_validate(AUTHORIZATION.state_of(row))
        for row in await _rows(database, statement, values)
    ]


def payments_statement(query: PaymentQuery) -> Select[Any]:
    """The query for payments, newest first; its values are the fields of the filter that are
    set."""
    table = AUTHORIZATION.table.c
    statement = select(AUTHORIZATION.table).order_by(table.requested_at.desc())
    if query.agent_id is not None:
        statement = statement.where(table.agent_id == bindparam("agent_id"))
    if query.state is not None:
        statement = statement.where(table.state == bindparam("state"))
    if query.since is not None:
        statement = statement.where(table.requested_at >= bindparam("since"))
    if query.until is not None:
        statement = statement.where(table.requested_at < bindparam("until"))
    return statement


async def present_resources(
    database: Database, environment: str, *, kind: str | None = None, limit: int
) -> list[ResourceState]:
    """The present resources of an environment, by kind and name. Raises DatabaseUnavailable."""
    statement = resources_statement(kind).limit(bindparam("limit"))
    values = {"environment": environment, "kind": kind, "limit": limit}
    return [
        ResourceState.model_validate(RESOURCE.state_of(row))
        for row in await _rows(database, statement, values)
    ]


def resources_statement(kind: str | None) -> Select[Any]:
    """The query for the present resources of `environment`, and of `kind` if there is one."""
    table = RESOURCE.table.c
    statement = select(RESOURCE.table).where(
        table.environment == bindparam("environment"), table.state == literal_column("'present'")
    )
    if kind is not None:
        statement = statement.where(table.kind == bindparam("kind"))
    return statement.order_by(table.kind, table.name)


async def _rows(
    database: Database, statement: Select[Any], values: dict[str, Any]
) -> list[dict[str, Any]]:
    made = compiled(statement)
    async with database.connection() as connection:
        cursor = await connection.execute(made, values)
        return await cursor.fetchall()
