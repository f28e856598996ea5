"""Sagas in words."""

from typing import get_args

import pytest

from ledger.aggregates.money import Money
from starter.cli.live import LiveTable
from starter.client.advice import advice_on
from starter.client.wording import amount_text, details, money_text, standing, summary
from workflows.contract.change import ChangeRequest, Resource, RollbackRequest
from workflows.contract.payment import PaymentRequest
from workflows.contract.progress import Progress, StepProgress
from workflows.engine.live_details import page
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
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert money_text(Money(minor=minor, currency=currency)) == text


@pytest.mark.parametrize("currency", ["XAU", "QQQ"])
def test_an_amount_of_a_currency_without_known_decimals_is_told_in_minor_units(
    currency: str,
) -> None:
    assert amount_text(1_234, currency) == f"1,234 minor units of {currency}"


def test_what_the_web_ui_shows_of_a_payment_is_not_personal() -> None:
    assert summary(PAYMENT) == "45,000.00 ARS for expense-bot"
    shown = summary(PAYMENT) + details(PAYMENT)
    assert not [secret for secret in SECRETS if secret in shown]


def test_summary_and_details_of_the_largest_change_fit_into_temporals_limits() -> None:
    many = [Resource(name=f"{n:064}", kind="postgres." + "x" * 60) for n in range(200)]
    request = ChangeRequest(operation_id="x" * 64, actor="user:u", present=many)
    assert len(summary(request).encode()) <= 400
    assert len(details(request).encode()) <= 20_000
    assert "and 100 more" in details(request)


def test_a_rollback_says_what_it_goes_back_to() -> None:
    request = RollbackRequest(to="before:shop-42", actor="user:u", resources=["shop-db"])
    assert summary(request) == "dev back to before:shop-42"
    assert "only `shop-db`" in details(request)


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


def test_every_reason_of_a_refused_plan_has_advice() -> None:
    reasons = get_args(Refusal.model_fields["reason"].annotation)
    assert [reason for reason in reasons if advice_on(reason) is None] == []


def test_every_state_of_a_step_is_drawn_on_a_terminal_and_on_the_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    states = get_args(StepProgress.model_fields["state"].annotation)
    steps = [StepProgress(name=f"step {state}", state=state, tries=3) for state in states]
    progress = Progress(saga_id="payment/x", kind="payment", state="running", steps=steps)
    with LiveTable() as table:
        table.tell(progress)
    drawn = capsys.readouterr().out
    assert [state for state in states if f"step {state} " not in drawn] == []
    assert page(progress).count("3 tries") == len(states)
