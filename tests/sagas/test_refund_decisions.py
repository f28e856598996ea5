"""Which capture a refund draws on, and when it is denied: for every division of a payment."""

from hypothesis import given
from hypothesis import strategies as st

from activities.refunds import AskedRefund, ReserveRefund
from ledger.aggregates.authorization import AuthorizationState
from ledger.aggregates.transfer import TransferState
from tests.ledger.samples import AUTHORIZATION, CBU, NOON, SAGA

PAID = AuthorizationState(
    authorization_id=AUTHORIZATION,
    saga_id=SAGA,
    agent_id="expense-bot",
    amount_minor=1,
    requested_minor=1,
    currency="ARS",
    destination=CBU,
    description="",
    state="captured",
    requested_at=NOON,
    policy_version=1,
)
# What each capture moved, and what of it is reserved and refunded.
CAPTURES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)).filter(
        lambda parts: parts[1] + parts[2] <= parts[0]
    ),
    min_size=1,
    max_size=5,
)


def transfer(number: int, amount: int, refunding: int, refunded: int) -> TransferState:
    return TransferState(
        transfer_id=f"t-{number}",
        authorization_id=AUTHORIZATION,
        saga_id=SAGA,
        adapter="mock",
        key=f"{SAGA}#{number}",
        amount_minor=amount,
        currency="ARS",
        destination=CBU,
        state="executed",
        refunding_minor=refunding,
        refunded_minor=refunded,
    )


@given(captures=CAPTURES, minor=st.none() | st.integers(1, 50))
def test_a_refund_draws_on_the_first_capture_with_as_much_left_and_never_on_two(
    captures: list[tuple[int, int, int]], minor: int | None
) -> None:
    transfers = [transfer(number, *parts) for number, parts in enumerate(captures)]
    request = ReserveRefund(payment=SAGA, amount_minor=minor, currency="ARS" if minor else None)
    asked = AskedRefund(
        can_refund=True, adapter="mock", request=request, authorization=PAID, transfers=transfers
    )
    left = [amount - refunding - refunded for amount, refunding, refunded in captures]
    wanted = sum(left) if minor is None else minor
    decided = asked.decide()
    if wanted == 0 or wanted > sum(left):
        assert decided == "exceeds_captured"
    elif wanted > max(left):
        assert decided == "exceeds_one_capture"
    else:
        first = next(number for number, rest in enumerate(left) if rest >= wanted)
        assert decided == transfers[first]
        assert asked.amount_minor == wanted
