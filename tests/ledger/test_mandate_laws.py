"""Laws of mandates on all inputs: a delegated one never allows what the one above it does not."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.aggregates import authorization
from ledger.aggregates.authorization import AuthorizationApproved
from ledger.aggregates.captures import AuthorizationPartStarted, begun
from ledger.aggregates.mandate import MandateGranted, MandateState, evolve
from ledger.aggregates.mandate_evaluation import Chain, mandate_denials, wider
from ledger.aggregates.policy_evaluation import Asked
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.aggregates.transitions import objection
from tests.ledger.writing import mandate_granted, requested, window

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAMES = ("a", "b", "c")


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def moments() -> st.SearchStrategy[datetime]:
    return st.integers(-2, 3).map(lambda hours: NOON + timedelta(hours=hours))


TERMS: dict[str, st.SearchStrategy[Any]] = {
    "currency": st.sampled_from(("ARS", "ARS", "USD")),
    "amount_minor": some(st.integers(0, 3)),
    "count": some(st.integers(0, 3)),
    "destinations": some(st.lists(st.sampled_from(NAMES), unique=True)),
    "purposes": some(st.lists(st.sampled_from(NAMES), unique=True)),
    "valid_from": moments(),
    "valid_until": some(moments()),
}
asked = st.builds(
    Asked,
    st.just("bot"),
    st.integers(1, 4),
    st.sampled_from(("ARS", "USD")),
    st.sampled_from(NAMES),
    mandate=st.just("m"),
    purpose=some(st.sampled_from(NAMES)),
)
amounts = st.integers(0, 4)


def alone(granted: MandateGranted) -> Chain:
    """The mandate as if nothing were above it, under the name that is asked for."""
    state: MandateState = evolve(None, granted)
    return [state.changed(mandate_id="m", agent_id="bot", chain=[])]


@st.composite
def delegations(draw: st.DrawFn) -> tuple[MandateGranted, MandateGranted]:
    """A mandate, and one below it that differs in some terms, by luck no wider."""
    above = {name: draw(values) for name, values in TERMS.items()}
    others = draw(st.sets(st.sampled_from(sorted(TERMS)), max_size=3))
    below = {name: draw(TERMS[name]) if name in others else above[name] for name in TERMS}
    return mandate_granted("above", **above), mandate_granted("below", "above", **below)


@given(delegations(), asked, amounts, st.integers(0, 4), moments())
def test_what_a_part_of_a_mandate_allows_the_whole_allows(
    two: tuple[MandateGranted, MandateGranted], asks: Asked, amount: int, count: int, now: datetime
) -> None:
    above, below = two

    def spent(window: SpendWindow) -> SpendChange:
        return SpendChange(window=window, amount_minor=amount, count=count)

    if wider(below, evolve(None, above)) is None:
        # Under it is spent no more than under the one above it.
        by_above = set(mandate_denials(asks, alone(above), spent, now))
        assert by_above <= set(mandate_denials(asks, alone(below), spent, now))


@given(delegations(), asked, amounts, st.integers(0, 4), moments())
def test_the_chain_denies_for_each_reason_that_one_of_its_mandates_has(
    two: tuple[MandateGranted, MandateGranted], asks: Asked, amount: int, count: int, now: datetime
) -> None:
    def spent(window: SpendWindow) -> SpendChange:
        return SpendChange(window=window, amount_minor=amount, count=count)

    above, below = (evolve(None, each) for each in two)
    chain = [above, below.changed(mandate_id="m", agent_id="bot")]
    each = [mandate_denials(asks, alone(granted), spent, now) for granted in two]
    assert set(mandate_denials(asks, chain, spent, now)) == {*each[0], *each[1]}
    # Of a chain that is not the one it was granted under nothing is believed.
    for wrong in ([], [None], [above, None], chain[1:], [*chain, *chain[1:]]):
        assert mandate_denials(asks, wrong, spent, now) == ["unknown_mandate"]


@pytest.mark.parametrize(("to", "is_lawful"), [(date(1970, 1, 1), True), (date(1970, 1, 2), False)])
def test_a_captured_part_moves_no_spend_out_of_its_mandate(to: date, is_lawful: bool) -> None:
    asked = requested("a-1", 100).changed(mandates=["m"])
    held = [SpendChange(window=window(), amount_minor=100, count=1)]
    held.append(evolve(None, mandate_granted("m")).spend(100))
    approved = AuthorizationApproved(automatic=True, spend=held, binding="b")
    state = authorization.evolve(authorization.evolve(None, asked), approved)

    def into(held: SpendWindow) -> SpendWindow:
        return held.changed(starts_on=to) if held.period == "mandate" else held

    spend, counted = begun(state.reserved, state.parts, 40, into=into)
    started = AuthorizationPartStarted(
        transfer_id="t", amount_minor=40, counted=counted, spend=spend, policy_version=1
    )
    assert (objection("authorization", state, started) is None) == is_lawful
