"""Every attempt on the rules is refused, by what shall refuse it, and leaves nothing behind."""

from dataclasses import replace

import psycopg
import pytest

from ledger.aggregates.registry import AGGREGATE_TYPES
from tests.ledger.rules.against_events import AGAINST_EVENTS
from tests.ledger.rules.against_rows import AGAINST_ROWS
from tests.ledger.rules.attempt import OUR_RULES, SAYS, Attacked, Attempt, Look, Role
from tests.ledger.rules.mutate import ATTEMPTS
from tests.ledger.rules.on_a_stage import LEGAL, ON_A_STAGE
from tests.ledger.rules.world import WORLD


def name_of(attempt: Attempt) -> str:
    return f"{attempt.role}: {attempt.name}"


@pytest.fixture(scope="module")
async def before(attacked: Attacked) -> Look:
    """What the world is before the first attempt, and shall be after each."""
    return await attacked.look()


async def _is_refused(attacked: Attacked, attempt: Attempt, before: Look) -> None:
    with pytest.raises(psycopg.Error) as refused:
        await attacked.make(attempt)
    error = refused.value
    assert error.sqlstate == attempt.refusal, error
    said = error.diag.message_primary or ""
    if attempt.rule in OUR_RULES:
        assert f"ledger.{attempt.rule}(" in (error.diag.context or ""), error.diag.context
        assert any(sentence in said for sentence in SAYS[attempt.refusal]), said
    assert await attacked.look() == before


@pytest.mark.parametrize("attempt", [a for a in ATTEMPTS if a not in ON_A_STAGE], ids=name_of)
async def test_is_refused(attacked: Attacked, before: Look, attempt: Attempt) -> None:
    await _is_refused(attacked, attempt, before)


@pytest.mark.parametrize("attempt", ON_A_STAGE, ids=name_of)
async def test_is_refused_on_its_stage(stage: Attacked, attempt: Attempt) -> None:
    await stage.damage(*attempt.given)
    await _is_refused(stage, attempt, await stage.look())


@pytest.mark.parametrize("role", ["owner", "superuser"])
@pytest.mark.parametrize("attempt", [*AGAINST_ROWS, *AGAINST_EVENTS], ids=name_of)
async def test_who_may_switch_the_rules_off_is_bound_by_them_too(
    attacked: Attacked, before: Look, attempt: Attempt, role: Role
) -> None:
    await _is_refused(attacked, replace(attempt, role=role), before)


@pytest.mark.parametrize("commit", LEGAL, ids=name_of)
async def test_a_row_with_exactly_its_events_is_accepted(stage: Attacked, commit: Attempt) -> None:
    await stage.damage(*commit.given)
    before = await stage.look()
    await stage.make(commit)
    after = await stage.look()
    changed = {name for name, digest in after.items() if digest != before[name]}
    assert "ledger.event_log" in changed
    assert changed <= {"ledger.event_log", *(f"ledger.{table}" for table in WORLD)}


def test_there_are_enough_attempts_on_every_state_table_and_none_twice() -> None:
    assert WORLD.keys() == {kind.table.name for kind in AGGREGATE_TYPES.values()}
    assert len({(attempt.role, attempt.name) for attempt in ATTEMPTS}) == len(ATTEMPTS)
    assert {attempt.role for attempt in ATTEMPTS} == {"worker", "auditor", "owner"}
    assert len(ATTEMPTS) > 300
