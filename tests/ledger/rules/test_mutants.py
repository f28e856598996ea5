"""With any one rule removed, attempts get through: so no rule is without a test that needs it."""

import pytest
from psycopg import AsyncConnection

from tests.ledger.rules import mutate
from tests.ledger.rules.attempt import Attacked, Attempt
from tests.ledger.rules.mutants import unmutated
from tests.ledger.rules.on_a_stage import LEGAL


@pytest.fixture(scope="module")
async def outcomes(attacked: Attacked) -> list[mutate.Outcome]:
    # Unprepared: the tables change under the statements.
    url = attacked.urls["superuser"]
    async with await AsyncConnection.connect(url, prepare_threshold=None) as connection:
        return await mutate.run(connection, attacked.partition)


async def test_a_savepoint_refuses_what_a_commit_refuses(attacked: Attacked) -> None:
    """So the run below need not commit: what it asks is what test_attempts asks."""
    url = attacked.urls["superuser"]
    async with await AsyncConnection.connect(url, prepare_threshold=None) as connection:
        told: dict[str, tuple[Attempt, str]] = {}
        for attempt in filter(mutate.fits_a_savepoint, [*mutate.ATTEMPTS, *LEGAL]):
            refusal = await mutate.outcome_of(connection, attempt, attacked.partition)
            if refusal != attempt.refusal:
                told[attempt.name] = (attempt, refusal)
        await connection.rollback()
    assert told == {}


async def test_without_any_one_rule_something_gets_through(outcomes: list[mutate.Outcome]) -> None:
    families = {outcome.mutant.family for outcome in outcomes}
    noticed = {outcome.mutant.family for outcome in outcomes if outcome.noticed}
    assert families - noticed <= set(mutate.REDUNDANT)
    quiet = {
        outcome.mutant.family
        for outcome in outcomes
        if not outcome.through and not outcome.too_strict
    }
    # Both ways: a rule that became needed is no longer called redundant.
    assert quiet == set(mutate.REDUNDANT)


async def test_no_rule_is_forgotten(outcomes: list[mutate.Outcome]) -> None:
    """The whole list is longer than this; what is left out would make it shorter."""
    assert len(outcomes) > 300
    assert sum(bool(outcome.through) for outcome in outcomes) > 200


def test_every_line_of_the_rules_has_a_mutant() -> None:
    assert unmutated() == {}


async def test_the_document_tells_this_run(outcomes: list[mutate.Outcome]) -> None:
    text = mutate.DOCUMENT.read_text(encoding="utf-8")
    assert text == mutate.document(text, outcomes), (
        "make it anew: python -m tests.ledger.rules --write"
    )
