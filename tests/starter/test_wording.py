"""Sagas in words."""

import re
from datetime import UTC, date, datetime
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.aggregates.amounts import RECORDED, decimals, published
from ledger.aggregates.money import Money, money_text
from starter.cli.live import LiveTable
from starter.cli.story import status_of
from starter.client.advice import ADVICE, advice_on
from starter.client.endings import ended_as
from starter.client.planned import operations_of
from starter.client.subject import facts_of
from starter.client.wording import notes, standing, summary
from workflows.contract.change import ChangeRequest, Resource, RollbackRequest
from workflows.contract.kinds import BY_NAME
from workflows.contract.payment import PaymentRequest
from workflows.contract.progress import Progress
from workflows.contract.reasons import REASONS
from workflows.contract.waits import StepProgress, Wait
from workflows.engine.decisions import SYSTEM
from workflows.engine.live_details import about, cause_in_words, page
from workflows.planning.plan import Refusal

SECRETS = ("2850590940090418135201", "building expenses", "203.0.113.7")
PAYMENT = PaymentRequest.model_validate(
    {
        "operation_id": "expenses-2026-11",
        "agent_id": "expense-bot",
        "amount": {"minor": 4_500_000, "currency": "ARS"},
        "destination": {"cbu": SECRETS[0]},
        "description": SECRETS[1],
        "metadata": {"ip": SECRETS[2]},
    }
)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (4_500_000, "ARS", "45,000.00 ARS"),
        (1, "USD", "0.01 USD"),
        (1_234, "JPY", "1,234 JPY"),
        (1_234, "KWD", "1.234 KWD"),
        (1_000_000_000_000, "ARS", "10,000,000,000.00 ARS"),
        # A currency of old, which this version of the list does not have any more.
        (1_234, "XYZ", "1,234 minor units of XYZ"),
        # Gold has no minor unit.
        (1_234, "XAU", "1,234 minor units of XAU"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert money_text(Money.model_construct(minor=minor, currency=currency)) == text


def test_the_decimals_of_every_currency_of_today_are_recorded() -> None:
    today = {code: places for code, places in decimals().items() if places is not None}
    assert {code: RECORDED.get(code) for code in today} == today


# Other packages have fewer decimals, or other currencies (findings/currency-decimals.sh).
@pytest.mark.parametrize(
    ("codes", "places"),
    [
        ("AFN ALL COP HUF IDR IRR KPW LAK LBP MGA MMK SOS SYP YER", 2),
        ("IQD", 3),
        ("XCG ZWG", 2),
        # Retired: nothing new is in them.
        ("ANG BGN", None),
    ],
)
def test_minor_units_are_those_of_iso_4217(codes: str, places: int | None) -> None:
    assert {decimals().get(code) for code in codes.split()} == {places}
    assert date.fromisoformat(published()) >= date(2026, 1, 1)


def test_what_the_web_ui_shows_of_a_payment_is_not_personal() -> None:
    assert summary(PAYMENT) == "payment of 45,000.00 ARS for agent expense-bot"
    progress = Progress(saga_id="payment/x", kind="payment", state="running")
    shown = page(progress, PAYMENT.about())
    assert not [secret for secret in SECRETS if secret in shown]


def test_summary_and_page_of_the_largest_change_fit_into_temporals_limits() -> None:
    many = [Resource(name=f"{n:064}", kind="postgres." + "x" * 60) for n in range(200)]
    request = ChangeRequest(operation_id="x" * 64, actor="user:u", present=many)
    steps = [StepProgress(name=f"create {each.name}", state="done") for each in many]
    progress = Progress(saga_id=f"change/{'x' * 64}", kind="change", state="running", steps=steps)
    shown = page(progress, request.about())
    assert len(summary(request).encode()) <= 400
    assert len(shown.encode()) <= 32_768
    assert "and 150 more" in shown
    assert f"200. **create {many[-1].name}** ✅ done" in shown


def test_a_rollback_says_what_it_goes_back_to() -> None:
    request = RollbackRequest(to="before:shop-42", actor="user:u", resources=["shop-db"])
    assert request.about() == ["rollback of dev to before:shop-42", "only shop-db"]


def stuck(state: str, step_state: str, *verbs: str) -> dict[str, object]:
    """Progress of a saga whose second step can't get on."""
    step = {"name": "execute transfer", "state": step_state, "detail": "no answer", "tries": 7}
    steps = [{"name": "authorize", "state": "done"}, {**step, "verbs": list(verbs)}]
    return {"state": state, "waits_for": "execute transfer", "steps": steps}


def ended(state: str, **result: object) -> dict[str, object]:
    return {"result": {"state": state, **result}}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"waits_for": "approval"}, "waits for approval: amends approve payment/x, or amends"),
        ({"waits_for": "capture"}, "waits for capture: amends capture payment/x"),
        ({"decision": "approved"}, "payment/x: approved, running"),
        ({"decision": "approved", "state": "compensating"}, "payment/x: compensating"),
        (
            stuck("needs_attention", "needs_attention", "retry", "resolve"),
            "payment/x: execute transfer needs an operator: no answer: "
            "amends retry payment/x 'execute transfer', or amends resolve payment/x "
            "'execute transfer' --evidence TEXT --outcome done|failed",
        ),
        (
            stuck("needs_attention", "needs_attention", "retry", "skip", "resolve"),
            "or amends skip payment/x 'execute transfer' --reason TEXT, or amends resolve "
            "payment/x 'execute transfer' --evidence TEXT",
        ),
        (
            stuck("resolving", "resolving"),
            "payment/x: the outcome of execute transfer is in doubt (no answer): amends",
        ),
        (
            stuck("compensating", "undoing", "retry", "skip", "resolve"),
            "payment/x: the undo of execute transfer had no success in 7 tries (no answer): amends",
        ),
        (ended("denied", reason="no_policy"), "payment/x: denied (no_policy)"),
        (ended("rejected", reason="rejected"), "payment/x: rejected: the spend is released"),
        (
            ended("refused", reason="later_change"),
            "payment/x: refused (later_change): --force overrides the later change",
        ),
        (ended("captured", provider_reference="TRF-1"), "payment/x: captured as TRF-1"),
        (ended("compensated", residuals=["db"]), "payment/x: compensated - left over: db"),
        (
            ended("applied", changes=[{"name": "a", "action": "create"}]),
            "payment/x: applied (create a)",
        ),
    ],
)
def test_how_a_saga_stands_is_one_line(fields: dict[str, object], line: str) -> None:
    progress = Progress.model_validate(
        {"saga_id": "payment/x", "kind": "payment", "state": "running", **fields}
    )
    assert line in standing(progress)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["applied", "rejected", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["action", "name", "kind", "minor", "currency"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
RESULT = st.dictionaries(
    st.sampled_from(["state", "reason", "changes", "residuals", "notes", "provider_reference"]),
    JSON,
)
REQUEST = st.dictionaries(
    st.sampled_from(["present", "absent", "amount", "destination", "agent_id", "resources"]), JSON
)


@given(RESULT, REQUEST, st.sampled_from([*BY_NAME, "parcel"]))
def test_whatever_a_recorded_result_or_request_says_is_told_in_words(
    result: dict[str, Any], request: dict[str, Any], kind: str
) -> None:
    told = {"saga_id": f"{kind}/x", "kind": kind, "state": "completed", "result": result}
    progress = Progress.model_validate(told)
    assert standing(progress).startswith(f"{kind}/x: ")
    assert all(isinstance(note, str) for note in notes(progress))
    assert isinstance(ended_as(result), str)
    if kind in BY_NAME:
        assert status_of(progress) in (0, 1)
    assert all(facts_of(kind, request, operations_of(kind, request, {}, result)).values())


@pytest.mark.parametrize("reason", ADVICE)
def test_an_advice_names_the_saga_and_the_agent(reason: str) -> None:
    told = {"saga_id": "payment/x", "kind": "payment", "state": "completed"}
    progress = Progress.model_validate({**told, **ended("denied", reason=reason)})
    said = standing(progress, "expense-bot")
    assert not re.search(r"\b(ID|AGENT)\b|[{}]", said)
    assert ("expense-bot" in said) == ("{agent}" in ADVICE[reason])


def test_every_reason_of_a_refused_plan_has_advice() -> None:
    reasons = get_args(Refusal.model_fields["reason"].annotation)
    assert [reason for reason in reasons if advice_on(reason) is None] == []


def test_every_state_of_a_step_is_drawn_on_a_terminal_and_on_the_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    states = get_args(get_type_hints(StepProgress)["state"])
    steps = [StepProgress(name=f"step {state}", state=state, tries=3) for state in states]
    progress = Progress(saga_id="payment/x", kind="payment", state="running", steps=steps)
    with LiveTable() as table:
        table.tell(progress)
    drawn = capsys.readouterr().out
    assert [state for state in states if f"step {state} " not in drawn] == []
    assert page(progress, ["a payment"]).count("3 tries") == len(states)


def test_every_reason_that_has_advice_and_no_note_of_its_plan_is_told_in_words() -> None:
    of_plans = {*get_args(Refusal.model_fields["reason"].annotation)}
    told_by_a_note = {"claimed", "plan_outdated", "irreversible", "not_managed"}
    assert {*ADVICE} - of_plans - told_by_a_note <= {*REASONS}


@pytest.mark.parametrize(
    ("cause", "reason", "actor", "words"),
    [
        ("provider_refused", None, SYSTEM, "the bank refused it (provider_refused)"),
        ("cancelled", "no", "user:ana", "the saga was cancelled by user:ana: no (cancelled)"),
        ("claimed", "db: another saga changes it", SYSTEM, "db: another saga changes it (claimed)"),
        ("something_new", None, SYSTEM, "something_new"),
    ],
)
def test_the_cause_of_a_compensation_is_told_in_words(
    cause: str, reason: str | None, actor: str, words: str
) -> None:
    assert cause_in_words(cause, reason, actor) == words


@pytest.mark.parametrize("undoing", [False, True])
@pytest.mark.parametrize("state", get_args(get_type_hints(Wait)["state"]))
def test_every_wait_is_told_on_the_page_with_times_and_commands_that_can_be_copied(
    state: str, undoing: bool
) -> None:
    when = datetime(2026, 11, 30, 7, 28, 15, tzinfo=UTC)
    command = "amends resolve payment/x 'execute transfer' --evidence TEXT --outcome done|failed"
    told: Any = {"waits_for": "execute transfer", "state": state, "whom": "user", "since": when}
    more: Any = {"undoing": undoing, "tries": 3, "why": "a|b --c", "commands": [command]}
    wait = Wait(**told, **more)
    progress = Progress(saga_id="payment/x", kind="payment", state="running", waits=[wait])
    shown = page(progress, ["a payment"])
    assert ("the undo of **execute transfer**" in shown) == undoing
    assert "since 2026-11-30 07:28:15 UTC: a|b \\-\\-c" in shown
    assert f"- `{command}`" in shown


def test_a_plan_that_can_not_be_read_from_the_record_gives_way_to_the_request() -> None:
    assert operations_of("change", {"environment": "dev"}, {"resources": "?"}) == []
    present = [{"name": "db", "kind": "shop.database"}]
    facts = facts_of("change", {"environment": "dev", "present": present}, [])
    assert facts == {"environment": "dev", "present": "db (shop.database)"}


def test_a_request_that_can_not_tell_what_it_asks_for_has_a_page_all_the_same() -> None:
    old = PaymentRequest.model_construct(operation_id="x", agent_id="bot")
    assert about(old) == []
    progress = Progress(saga_id="payment/x", kind="payment", state="running")
    assert page(progress, about(old)) == "**payment** (`payment/x`)\n\n**running**"
