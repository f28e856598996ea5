"""The history of payments and what exists: the right rows, and each by its index."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ledger.aggregates import authorization
from ledger.aggregates.aggregate import Event
from ledger.aggregates.resource import ResourceDeleted, resource_name
from ledger.aggregates.spend_window import SpendChange
from ledger.database import Database
from ledger.errors import NotFound
from ledger.read.queries import (
    PaymentQuery,
    payments,
    payments_query,
    present_resources,
    resources_query,
)
from tests.ledger.conftest import Clone
from tests.ledger.samples import CBU
from tests.ledger.writing import requested, resource_begun, resource_made, window, write

IBAN = "ES9121000418450200051332"
DAY = datetime(2026, 11, 1, 12, tzinfo=UTC)


async def ask(
    ledger: Database,
    day: int,
    agent_id: str,
    state: authorization.AuthorizationPhase = "denied",
    **more: Any,
) -> str:
    name = f"a-{day}-{agent_id}"
    first = requested(name, 100).changed(
        agent_id=agent_id, requested_at=DAY + timedelta(days=day), **more
    )
    verdict: Event = authorization.AuthorizationDenied(reason="no_policy", reasons=["no_policy"])
    if state == "approved":
        own = window(agent_id).changed(starts_on=first.requested_at.date())
        spend = [SpendChange(window=own, amount_minor=100, count=1)]
        verdict = authorization.AuthorizationApproved(automatic=True, spend=spend, binding="b")
    await write(ledger, authorization.authorization_name(name), first, verdict)
    return name


async def test_payments_are_found_by_date_agent_and_state(ledger: Database) -> None:
    ana_1 = await ask(ledger, 1, "ana", "approved")
    bob_2 = await ask(ledger, 2, "bob", "approved")
    ana_3 = await ask(ledger, 3, "ana", "denied")

    async def found(limit: int = 10, **query: Any) -> list[str]:
        answer = await payments(ledger, PaymentQuery(**query), limit=limit)
        return [payment["authorization_id"] for payment in answer.rows]

    assert await found() == [ana_3, bob_2, ana_1]
    assert await found(limit=1) == [ana_3]
    assert await found(agent_id="ana") == [ana_3, ana_1]
    assert await found(state="approved") == [bob_2, ana_1]
    assert await found(agent_id="ana", state="denied") == [ana_3]
    # From that moment on, up to and without this one.
    since, until = DAY + timedelta(days=1), DAY + timedelta(days=3)
    assert await found(since=since, until=until) == [bob_2, ana_1]
    assert await found(since=since + timedelta(microseconds=1), until=until) == [bob_2]


async def test_payments_are_found_by_the_end_of_an_account_of_which_no_more_is_listed(
    ledger: Database,
) -> None:
    to_iban = await ask(ledger, 1, "ana", destination=IBAN)
    to_cbu = await ask(ledger, 2, "ana", destination=CBU)
    same_ending = await ask(ledger, 3, "ana", destination=f"ES00{IBAN[4:]}")
    for given, found in (
        (IBAN, [to_iban]),
        ("es91 2100 0418 4502 0005 1332", [to_iban]),
        (IBAN[-5:], [same_ending, to_iban]),
        (f"…{CBU[-4:]}", [to_cbu]),
        ("0000", []),
    ):
        listed = (await payments(ledger, PaymentQuery(destination=given), limit=9)).rows
        assert [row["authorization_id"] for row in listed] == found
        assert {row["destination"] for row in listed} <= {"…1332", "…5201"}
    with pytest.raises(ValueError, match="the last 4 characters"):
        PaymentQuery(destination="332")


async def test_new_payments_shift_no_page(ledger: Database) -> None:
    # Two of them at the same moment.
    first = [await ask(ledger, day, agent) for day in (1, 2, 3) for agent in ("ana", "bob")]
    seen: list[str] = []
    more, after = True, None
    while more:
        page = await payments(ledger, PaymentQuery(), limit=1, after=after)
        (row,), more = page.rows, page.more
        after = row["authorization_id"]
        seen.append(after)
        await ask(ledger, 10 + len(seen), "eve")
    assert sorted(seen) == sorted(first)
    assert [name[:3] for name in seen] == ["a-3", "a-3", "a-2", "a-2", "a-1", "a-1"]
    with pytest.raises(NotFound):
        await payments(ledger, PaymentQuery(), limit=1, after="nobody")


async def test_resources_are_found_by_environment_and_kind(ledger: Database) -> None:
    async def make(environment: str, name: str, kind: str, *more: Event) -> None:
        events = (resource_begun(name, environment, kind), resource_made(kind), *more)
        await write(ledger, resource_name(environment, name), *events)

    again = resource_begun("old", "dev", "postgres.role")
    await make("dev", "app", "postgres.role")
    await make("dev", "old", "postgres.role", again, ResourceDeleted(change="payment/rent"))
    await make("dev", "db", "postgres.database")
    await make("prod", "app", "postgres.role")

    async def found(environment: str, kind: str | None = None) -> list[str]:
        answer = await present_resources(ledger, environment, kind=kind, limit=10)
        return [resource["name"] for resource in answer.rows]

    assert await found("dev") == ["db", "app"]
    assert await found("dev", "postgres.role") == ["app"]
    assert await found("prod") == ["app"]


# The index of each question, its statement and values.
BY_INDEX: dict[str, tuple[str, dict[str, Any]]] = {
    "authorizations_requested": (payments_query(PaymentQuery(since=DAY)), {"since": DAY}),
    "authorizations_agent": (payments_query(PaymentQuery(agent_id="a")), {"agent_id": "a"}),
    "authorizations_state": (
        payments_query(PaymentQuery(state="pending_approval")),
        {"state": "pending_approval"},
    ),
    "authorizations_destination": (
        payments_query(PaymentQuery(destination=IBAN), after=True),
        {"destination": IBAN, "requested_at": DAY, "aggregate_id": UUID(int=0)},
    ),
    # A page that goes on begins in the index, and not at the newest payment.
    "authorizations_agent on": (
        payments_query(PaymentQuery(agent_id="a"), after=True),
        {"agent_id": "a", "requested_at": DAY, "aggregate_id": UUID(int=0)},
    ),
    "resources_kind": (
        resources_query("postgres.role"),
        {"environment": "dev", "kind": "postgres.role"},
    ),
}


async def test_each_question_has_its_index(clone: Clone) -> None:
    async with await psycopg.AsyncConnection.connect(clone.auditor) as connection:
        # The tables of a test are too small for any index to pay.
        await connection.execute("SET LOCAL enable_seqscan = off")
        await connection.execute("SET LOCAL enable_sort = off")
        for index, (statement, values) in BY_INDEX.items():
            explain = f"EXPLAIN {statement} LIMIT 10"
            cursor = await connection.execute(explain.encode(), values)
            plan = "\n".join(str(line) for (line,) in await cursor.fetchall())
            assert f" using {index}" in plan
            # Of the same moment there are few.
            assert "Sort" not in re.sub("Incremental Sort|(Sort|Presorted) Key", "", plan)
            assert ("requested_at" in values) <= ("AND (requested_at <=" in plan)
