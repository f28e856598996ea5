"""Changes of an environment, from the request to the real server and back."""

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from ledger.database import Database
from tests.infrastructure.driver import (
    ChangeDriver,
    Json,
    Target,
    after,
    database,
    role,
    schema,
    shapes,
    size,
    told,
)
from tests.support.tcp_gate import Gate
from tests.support.until import until


async def failure_of(driver: ChangeDriver, operation_id: str, **parts: Any) -> ApplicationError:
    with pytest.raises(WorkflowFailureError) as failed:
        await driver.apply(operation_id, **parts)
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


async def test_a_change_makes_real_things_along_its_graph_and_another_like_it_changes_nothing(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, db, inner = prefix + "app", prefix + "db", prefix + "inner"
    present = [schema(inner, db, app), database(db, app), role(app)]
    result = await driver.apply(prefix + "1", present=present)
    assert result["state"] == "applied"
    assert [change["name"] for change in result["changes"]] == [app, db, inner]
    assert await target.names(prefix) == {app, db}
    assert await target.schemas(db, prefix) == {inner}
    marker = f"amends: resource/dev/{app} by change/{prefix}1"
    assert (await target.role(app))["comment"] == marker
    assert (await shapes(ledger, prefix))[inner] == {
        "kind": "postgres.schema",
        "spec": {"database": db, "owner": app},
        "depends_on": [app, db],
    }
    before = await told(ledger, f"resource/dev/{db}")
    result = await driver.apply(prefix + "2", present=present, absent=[prefix + "gone"])
    assert (result["state"], result["changes"]) == ("unchanged", [])
    assert result["notes"] == [f"{prefix}gone is not known in dev: nothing to do"]
    assert await told(ledger, f"resource/dev/{db}") == before


async def test_a_resource_is_altered_replaced_and_deleted(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, one, two, inner = (prefix + name for name in ("app", "one", "two", "inner"))
    databases = [database(one, app), database(two, app)]
    await driver.apply(prefix + "1", present=[role(app), *databases, schema(inner, one, app)])
    others = [role(app, login=False), schema(inner, two, app)]
    altered = await driver.apply(prefix + "2", present=others)
    assert {c["name"]: c["action"] for c in altered["changes"]} == {app: "update", inner: "replace"}
    assert (await target.role(app))["login"] is False
    assert await target.schemas(one, prefix) == set()
    assert await target.schemas(two, prefix) == {inner}
    await driver.apply(prefix + "3", absent=[app, one, two, inner])
    assert await target.names(prefix) == set()
    assert set((await shapes(ledger, prefix)).values()) == {None}


async def test_a_change_that_fails_on_the_way_is_undone(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, db, other = prefix + "app", prefix + "db", prefix + "other"
    failing = database(other, prefix + "nobody", depends_on=[db])
    result = await driver.apply(prefix + "1", present=[role(app), database(db, app), failing])
    assert (result["state"], result["reason"]) == ("compensated", "missing")
    assert result["residuals"] == []
    assert result["notes"][0].startswith(f"{other}: ")
    assert await target.names(prefix) == set()
    began = "ResourceChangeStarted"
    assert await told(ledger, f"resource/dev/{app}") == [
        *(began, "ResourceCreated", began, "ResourceDeleted")
    ]
    assert await told(ledger, f"resource/dev/{other}") == [began, "ResourceChangeDropped"]


async def test_what_was_altered_and_deleted_comes_back_when_a_change_fails(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, old = prefix + "app", prefix + "old"
    await driver.apply(prefix + "1", present=[role(app), role(old)])
    before = await shapes(ledger, prefix)
    failing = database(prefix + "db", prefix + "nobody", depends_on=[app])
    present = [role(app, login=False), failing]
    result = await driver.apply(prefix + "2", present=present, absent=[old])
    assert result["state"] == "compensated"
    assert await target.names(prefix) == {app, old}
    assert (await target.role(app))["login"] is True
    now = await shapes(ledger, prefix)
    assert {name: now[name] for name in before} == before


async def test_a_database_that_holds_a_table_is_deleted_only_when_that_is_allowed(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, db = prefix + "app", prefix + "db"
    await driver.apply(prefix + "1", present=[role(app), database(db, app)])
    await target.add_table(db)
    failure = await failure_of(driver, prefix + "2", absent=[db, app])
    assert failure.type == "irreversible"
    assert "holds 1 tables" in failure.details[0]["reason"]
    assert await target.names(prefix) == {app, db}
    allowed = await driver.apply(prefix + "3", absent=[db, app], allow_irreversible=True)
    assert allowed["state"] == "applied"
    assert await target.names(prefix) == set()


async def test_a_database_that_got_a_table_outlives_the_undo_and_is_named(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, db, last = prefix + "app", prefix + "db", prefix + "last"
    begin = driver.change(
        prefix + "1", present=[database(db, app), role(app), after(role(last), db)]
    )
    async with target.stopped_at(ledger, last, begin) as handle:
        await target.add_table(db)
        await handle.cancel()
    result = await handle.result()
    assert (result["state"], result["reason"]) == ("compensated", "cancelled")
    kept, owner = result["residuals"]
    assert kept.startswith(f"database {db} holds 1 tables")
    assert owner == f"postgres.role {app} stays: {db} depends on it"
    assert await target.names(prefix) == {app, db}
    assert {name for name, shape in (await shapes(ledger, prefix)).items() if shape} == {app, db}


async def test_a_cancel_in_the_middle_of_a_call_ends_in_a_finished_undo(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, last = prefix + "app", prefix + "last"
    begin = driver.change(prefix + "1", present=[role(app), after(role(last), app)])
    async with target.stopped_at(ledger, last, begin) as handle:
        await handle.cancel()
        await handle.cancel()
    assert (await handle.result())["state"] == "compensated"
    assert await target.names(prefix) == set()
    assert await shapes(ledger, prefix) == {app: None, last: None}


async def test_what_exists_and_is_not_ours_is_refused_and_left_alone(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    theirs = prefix + "theirs"
    await target.execute(f'CREATE ROLE "{theirs}"')
    failure = await failure_of(driver, prefix + "1", present=[role(theirs)])
    assert failure.type == "not_managed"
    assert "exists, not managed: import it" in failure.details[0]["reason"]
    present = [role(prefix + "app"), after(role(theirs), prefix + "app")]
    with_more = await driver.apply(prefix + "2", present=present)
    assert (with_more["state"], with_more["reason"]) == ("compensated", "not_managed")
    assert await target.names(prefix) == {theirs}
    assert (await target.role(theirs))["comment"] is None


async def test_six_changes_of_one_resource_at_once_are_applied_or_refused_as_claimed(
    driver: ChangeDriver, target: Target, prefix: str
) -> None:
    app = prefix + "app"
    handles = [
        await driver.change(f"{prefix}{n}", present=[role(app, login=n > 3)]) for n in range(1, 7)
    ]
    ends = await asyncio.gather(*(handle.result() for handle in handles))
    states = {end["state"] for end in ends}
    assert "applied" in states
    assert states <= {"applied", "unchanged", "refused"}
    lost = [end for end in ends if end["state"] == "refused"]
    assert {end["reason"] for end in lost} <= {"claimed"}
    assert [end for end in lost if f"by change/{prefix}" not in end["notes"][0]] == []
    assert await target.names(prefix) == {app}


BAD: list[tuple[str, Json]] = [
    ("present[0].depends_on", {"present": [after(role("ra"), "rb"), after(role("rb"), "ra")]}),
    ("present[0].kind", {"present": [{"name": "ra", "kind": "postgres.table"}]}),
    ("present[0].spec.colour", {"present": [role("ra", colour="s3cr3t")]}),
    ("colour", {"present": [role("ra")], "colour": "s3cr3t"}),
    ("present", {"present": "s3cr3t"}),
    ("present[0].name", {"present": [role("amends_worker")]}),
]


async def test_bad_input_fails_the_run_with_field_and_reason_and_writes_nothing(
    driver: ChangeDriver, ledger: Database, prefix: str
) -> None:
    before = await size(ledger)
    for number, (field, parts) in enumerate(BAD):
        failure = await failure_of(driver, f"{prefix}{number}", **parts)
        assert failure.type == "InvalidInput"
        assert [problem["field"] for problem in failure.details] == [field]
        assert "s3cr3t" not in failure.message + str(failure.details)
    assert await size(ledger) == before


async def test_an_operation_id_is_one_change_for_ever(
    driver: ChangeDriver, ledger: Database, prefix: str
) -> None:
    present = [role(prefix + "app")]
    first = await driver.apply(prefix + "1", present=present)
    assert await driver.apply(prefix + "1", present=present) == first
    failure = await failure_of(driver, prefix + "1", present=[role(prefix + "b")])
    assert failure.type == "operation_id_reused"
    assert await told(ledger, f"resource/dev/{prefix}b") == []


async def test_a_target_that_is_away_is_waited_for(
    driver: ChangeDriver, target: Target, ledger: Database, way_to_target: Gate, prefix: str
) -> None:
    app = prefix + "app"
    await driver.apply(prefix + "1", present=[role(app)])
    await way_to_target.close()
    handle = await driver.change(prefix + "2", present=[role(app, login=False)])

    async def tried_in_vain() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return any(each.HasField("last_failure") for each in pending)

    await until(tried_in_vain)
    await way_to_target.open()
    assert (await handle.result())["state"] == "applied"
    assert (await target.role(app))["login"] is False


async def test_a_change_whose_run_was_terminated_is_carried_on_by_the_next_start(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app, last = prefix + "app", prefix + "last"
    present = [role(app), after(role(last), app)]
    begin = driver.change(prefix + "1", present=present)
    async with target.stopped_at(ledger, last, begin) as handle:
        await handle.terminate()
    assert (await driver.apply(prefix + "1", present=present))["state"] == "applied"
    assert await target.names(prefix) == {app, last}
    assert await told(ledger, f"resource/dev/{app}") == ["ResourceChangeStarted", "ResourceCreated"]
    assert "SagaTakenOver" in await told(ledger, f"saga/change/{prefix}1")


async def test_one_name_in_two_environments_is_one_thing_and_belongs_to_the_first(
    driver: ChangeDriver, target: Target, ledger: Database, prefix: str
) -> None:
    app = prefix + "app"
    await driver.apply(prefix + "1", present=[role(app)])
    failure = await failure_of(driver, prefix + "2", environment="production", present=[role(app)])
    assert f"managed as resource/dev/{app}" in failure.details[0]["reason"]
    assert (await target.role(app))["comment"].endswith(f"change/{prefix}1")
