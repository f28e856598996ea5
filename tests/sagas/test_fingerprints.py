"""Which request is the first one again: by what it says, and by what it means."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.aggregates.saga import SagaState
from ledger.reading import read
from ledger.store.canonical_json import digest
from tests.support.driver import CBU, Json
from workflows.contract.kinds import KINDS, SagaKind
from workflows.contract.payment import PaymentRequest

FIRST: Json = {
    "operation_id": "pay-1",
    "agent_id": "bot",
    "amount": {"minor": 100, "currency": "ARS"},
    "destination": {"cbu": CBU},
}
DEFAULTS: Json = {"description": "", "capture": "automatic", "approve_within": "P1D"}


def opened(request: Json, **stored: Any) -> SagaState:
    """The saga that a request has opened; `stored` is what was filled in otherwise."""
    read = PaymentRequest.model_validate(request)
    return SagaState(
        kind="payment",
        operation_id="pay-1",
        state="running",
        epoch=1,
        input_hash=read.fingerprint().given,
        input=read.model_dump(mode="json") | stored,
        namespace="default",
        namespace_id="1",
        task_queue="q",
        workflow_id="payment/pay-1",
        run_id="run",
        started_at=datetime(2026, 11, 30, tzinfo=UTC),
    )


def is_again(request: Json, saga: SagaState) -> bool:
    return PaymentRequest.model_validate(request).fingerprint().matches(saga)


choices = st.dictionaries(st.sampled_from(sorted(DEFAULTS)), st.booleans())
OTHERS: Json = {"description": "rent", "capture": "manual", "approve_within": "PT2H"}


def chosen(choice: dict[str, bool]) -> Json:
    """The optional fields of a request: left out, its default, or another value."""
    return {name: (OTHERS if other else DEFAULTS)[name] for name, other in choice.items()}


@given(choices, choices)
def test_two_requests_are_the_same_exactly_if_they_mean_the_same(
    first: dict[str, bool], again: dict[str, bool]
) -> None:
    same = {**DEFAULTS, **chosen(first)} == {**DEFAULTS, **chosen(again)}
    assert is_again({**FIRST, **chosen(again)}, opened({**FIRST, **chosen(first)})) == same


def test_a_row_of_an_older_version_keeps_its_repeats() -> None:
    # As it made them: without the defaults, whether left out or given.
    saga = opened(FIRST)
    assert saga.input_hash == digest(FIRST)
    for again in ({}, DEFAULTS, {"approve_within": "PT24H"}, {"metadata": {"ip": "203.0.113.7"}}):
        assert is_again({**FIRST, **again}, saga)
    assert not is_again({**FIRST, "capture": "manual"}, saga)


def test_a_default_that_was_another_in_between_counts_as_it_was_then() -> None:
    # Manual was the default in between: left out then, and now.
    saga = opened(FIRST, capture="manual")
    assert is_again(FIRST, saga)
    assert is_again({**FIRST, "capture": "manual"}, saga)
    assert not is_again({**FIRST, "capture": "automatic"}, saga)


@pytest.mark.parametrize("stored", [{}, {"gone": {"deep": [1]}}, {"capture": "manual"}])
def test_the_stored_input_itself_is_the_request_whatever_fields_came_and_went(stored: Json) -> None:
    # Recovery starts the saga with it.
    saga = opened(FIRST, **stored)
    assert read(PaymentRequest, saga.input).fingerprint().matches(saga)
    other = {**saga.input, "gone": {"deep": [2]}}
    assert not read(PaymentRequest, other).fingerprint().matches(saga)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_optional_field_has_a_first_default(kind: SagaKind) -> None:
    optional = {name for name, each in kind.request.model_fields.items() if not each.is_required()}
    assert set(kind.request.first_defaults) == optional - {"metadata", "signature"}
