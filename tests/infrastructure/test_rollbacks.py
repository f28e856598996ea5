"""Rollbacks: what the log says was there comes back, as a saga of its own."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from activities.providers.postgres.spec import KINDS
from ledger.database import Database
from ledger.read.environments import resources_at
from tests.infrastructure.driver import (
    ChangeDriver,
    Target,
    after,
    database,
    role,
    schema,
    shapes,
    told,
)
from tests.support.public_failures import assert_public
from workflows.contract.change import RollbackRequest
from workflows.planning.rollback_planner import plan_rollback


async def cause_of(rollback: Awaitable[Any]) -> ApplicationError:
    """Why a rollback failed, or a change."""
    with pytest.raises(WorkflowFailureError) as failed:
        await rollback
    assert isinstance(failed.value.cause, ApplicationError)
    assert_public(failed.value.cause)
    return failed.value.cause


async def position(ledger: Database) -> int:
    """Where the log ends."""
    async with ledger.connection() as connection:
        cursor = await connection.execute("SELECT max(position) AS last FROM ledger.event_log")
        [row] = await cursor.fetchall()
        return int(row["last"])


async def test_what_a_change_made_is_taken_back_as_the_plan_of_the_rollback_says(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, db, inner = prefix + "app", prefix + "db", prefix + "inner"
    await driver.apply(prefix + "1", present=[role(app), database(db, app), schema(inner, db, app)])
    request = RollbackRequest(to=f"before:{prefix}1", actor="user:ana")
    before = await told(ledger, f"resource/dev/{db}")
    rewound = await resources_at(ledger, request.environment, request.to)
    plan = plan_rollback(request, rewound, KINDS).plan
    assert plan.losses == [
        f"the data in postgres.schema {inner} is lost for ever",
        f"the data in postgres.database {db} is lost for ever",
    ]
    assert await told(ledger, f"resource/dev/{db}") == before
    result = await driver.roll_back(prefix + "2", to=request.to)
    assert result["state"] == "applied"
    done = [(c["name"], c["action"]) for c in result["changes"]]
    assert done == [(inner, "delete"), (db, "delete"), (app, "delete")]
    assert [name for name, _ in done] == [each.name for each in plan.to_do]
    assert await target.names(prefix) == set()
    again = await driver.roll_back(prefix + "3", to=f"before:{prefix}1")
    assert again["state"] == "unchanged"


@pytest.mark.parametrize("colon", [".", ":"])
async def test_a_change_that_a_schedule_made_is_taken_back_by_its_operation_id_or_workflow_id(
    driver: ChangeDriver, target: Target, prefix: str, colon: str
) -> None:
    request = {"actor": "user:ana", "present": [role(prefix + "app")]}
    saga_id = f"change/{prefix}nightly-2026-12-01T03:30:00Z"
    made = await driver.start("InfrastructureSaga", saga_id, request)
    assert (await made.result())["state"] == "applied"
    to = f"before:{prefix}nightly-2026-12-01T03{colon}30{colon}00Z"
    back = await driver.roll_back(prefix + "2", to=to)
    assert (back["state"], back["reason"]) == ("applied", None)
    assert await target.names(prefix) == set()


async def test_what_a_change_altered_and_deleted_comes_back(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, old = prefix + "app", prefix + "old"
    await driver.apply(prefix + "1", present=[role(app), role(old, connection_limit=3)])
    before = await shapes(ledger, prefix)
    await driver.apply(prefix + "2", present=[role(app, login=False)], absent=[old])
    result = await driver.roll_back(prefix + "3", to=f"before:{prefix}2")
    assert {c["name"]: c["action"] for c in result["changes"]} == {app: "update", old: "create"}
    assert await shapes(ledger, prefix) == before
    assert (await target.role(app))["login"] is True


async def test_only_the_named_resources_are_taken_back(
    driver: ChangeDriver, target: Target, prefix: str
) -> None:
    one, two = prefix + "one", prefix + "two"
    await driver.apply(prefix + "1", present=[role(one), role(two)])
    to, other = f"before:{prefix}1", prefix + "other"
    result = await driver.roll_back(prefix + "2", to=to, resources=[one, other])
    assert result["notes"] == [f"{other} was not touched since {to}: nothing to do"]
    assert await target.names(prefix) == {two}


async def test_a_later_change_is_taken_back_only_with_force(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app = prefix + "app"
    await driver.apply(prefix + "1", present=[role(app)])
    await driver.apply(prefix + "2", present=[role(app, login=False)])
    refused = await driver.roll_back(prefix + "3", to=f"before:{prefix}1")
    assert (refused["state"], refused["reason"]) == ("refused", "later_change")
    assert refused["notes"] == [f"{app} was changed later by change/{prefix}2"]
    assert await target.names(prefix) == {app}
    forced = await driver.roll_back(prefix + "4", to=f"before:{prefix}1", force=True)
    assert (forced["state"], forced["notes"]) == ("applied", refused["notes"])
    assert await target.names(prefix) == set()


async def test_what_was_rolled_back_or_undone_is_no_later_change(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app = prefix + "app"
    await driver.apply(prefix + "1", present=[role(app)])
    await driver.apply(prefix + "2", present=[role(app, login=False)])
    await driver.roll_back(prefix + "3", to=f"before:{prefix}2")
    failing = database(prefix + "db", prefix + "nobody", depends_on=[app])
    undone = await driver.apply(prefix + "4", present=[role(app, connection_limit=2), failing])
    assert undone["state"] == "compensated"
    result = await driver.roll_back(prefix + "5", to=f"before:{prefix}1")
    assert result["state"] == "applied"
    assert await target.names(prefix) == set()


async def test_back_to_a_position_and_to_a_time_takes_back_all_since_and_names_it(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, db = prefix + "app", prefix + "db"
    await driver.apply(prefix + "1", present=[role(app)])
    here, now = await position(ledger), datetime.now(UTC)
    before = await shapes(ledger, prefix)
    await driver.apply(prefix + "2", present=[role(app, login=False)])
    await driver.apply(prefix + "3", present=[database(db, app)])
    names = [app, db]
    # What happened at this moment is known for good when no commit can be late for it any more.
    by_time = await resources_at(ledger, "dev", now.isoformat(), names, patience_s=20)
    assert by_time == await resources_at(ledger, "dev", str(here), names)
    result = await driver.roll_back(prefix + "4", to=str(here), resources=names)
    taken_back = [f"{app}: takes back change/{prefix}2", f"{db}: takes back change/{prefix}3"]
    assert result["notes"] == taken_back
    assert await shapes(ledger, prefix) == before | {db: None}
    assert await target.names(prefix) == {app}


async def test_a_database_with_a_table_needs_its_own_permission_when_it_runs(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, db = prefix + "app", prefix + "db"
    await driver.apply(prefix + "1", present=[role(app), database(db, app)])
    await target.add_table(db)
    failure = await cause_of(driver.roll_back(prefix + "2", to=f"before:{prefix}1"))
    assert "irreversible" in str(failure)
    assert await target.names(prefix) == {app, db}
    allowed = await driver.roll_back(prefix + "3", to=f"before:{prefix}1", allow_irreversible=True)
    assert allowed["state"] == "applied"
    assert await target.names(prefix) == set()


async def test_a_rollback_that_fails_on_the_way_is_undone_and_can_be_repeated(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, db, inner = prefix + "app", prefix + "db", prefix + "inner"
    await driver.apply(prefix + "1", present=[role(app), database(db, app), schema(inner, db, app)])
    before = await shapes(ledger, prefix)
    await target.add_table(db)
    result = await driver.roll_back(prefix + "2", to=f"before:{prefix}1")
    assert (result["state"], result["reason"]) == ("compensated", "irreversible")
    assert await shapes(ledger, prefix) == before
    assert await target.schemas(db, prefix) == {inner}
    await target.execute("DROP TABLE public.invoices", db)
    assert (await driver.roll_back(prefix + "3", to=f"before:{prefix}1"))["state"] == "applied"
    assert await target.names(prefix) == set()


async def test_a_run_of_a_schedule_takes_its_operation_id_from_its_workflow_id(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    await driver.apply(prefix + "1", present=[role(prefix + "app")])
    saga_id = f"rollback/{prefix}nightly-2026-11-22T06:00:00Z"
    request = {"to": f"before:{prefix}1", "actor": "user:ana"}
    handle = await driver.start("RollbackSaga", saga_id, request)
    assert (await handle.result())["state"] == "applied"
    async with ledger.connection() as connection:
        cursor = await connection.execute(
            "SELECT operation_id FROM ledger.sagas WHERE workflow_id = %s", [saga_id]
        )
        [row] = await cursor.fetchall()
    assert row["operation_id"] == f"{prefix}nightly-2026-11-22T06.00.00Z"


async def test_a_point_that_does_not_exist_is_refused_in_words_and_a_time_that_is_none_bad_input(
    driver: ChangeDriver, prefix: str
) -> None:
    points = {"before:nobody-knows": "unknown_change", "2999-01-01T00:00:00Z": "in_the_future"}
    for to, reason in points.items():
        result = await driver.roll_back(prefix + reason, to=to)
        assert (result["state"], result["reason"]) == ("refused", reason)
        assert result["notes"]
    failure = await cause_of(driver.roll_back(prefix + "1", to="2026-99-99T99:99:99Z"))
    assert failure.type == "InvalidInput"


async def test_what_has_no_good_name_or_too_many_names_fails_at_once(
    driver: ChangeDriver, prefix: str
) -> None:
    request = {"to": f"before:{prefix}1", "actor": "user:ana"}
    # The runs of a schedule take their names from it.
    for name in ("a b", "", "a\nb", "x" * 65):
        handle = await driver.start("RollbackSaga", f"rollback/{name}", request)
        assert (await cause_of(handle.result())).details[0]["field"] == "workflow_id"
    resource = after(role(prefix + "app"), *(f"r{number}" for number in range(5_000)))
    assert (await cause_of(driver.apply(prefix + "1", present=[resource]))).type == "InvalidInput"


async def test_a_rollback_to_a_moment_that_is_not_past_yet_goes_on_when_it_is(
    driver: ChangeDriver, target: Target, prefix: str
) -> None:
    now = datetime.now(UTC)
    await driver.apply(prefix + "1", present=[role(prefix + "app")])
    result = await driver.roll_back(prefix + "2", to=now.isoformat(), resources=[prefix + "app"])
    assert (result["state"], result["reason"]) == ("applied", None)
    assert await target.names(prefix) == set()
