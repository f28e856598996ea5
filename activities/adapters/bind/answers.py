"""Reads the answers of BIND APIBank: each status, code and HTTP status as one of our outcomes.

answer                                      | outcome
--------------------------------------------+------------------------------------------------
status COMPLETED                            | executed
status FAILED                               | refused
status IN_PROGRESS, PENDING, UNKNOWN        | OutcomeUnknown, again in five minutes
status UNKNOWN_FOREVER                      | OutcomeUnknown for ever: a person finds out
409 with TX001 to TX012, TX033, TX035,      | refused
  TX040, TX042, TX046                       |
409 with TX019                              | to a look-up: absent, or not yet there
409 with TX500, GE500, another code, or 50x | OutcomeUnknown, again in five minutes
503 with GE503                              | NothingSent: the networks are closed
401 twice, 403, 429                         | NothingSent: the call did not get in
anything else                               | OutcomeUnknown
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from activities.adapters.bind.origin_id import check_mark, origin_id_of
from activities.adapters.payment import (
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    TransferReport,
    TransferStatus,
)
from ledger.aggregates.amounts import decimals
from ledger.aggregates.money import MAX_MINOR
from ledger.words import recordable

FINAL: dict[str, TransferStatus] = {"COMPLETED": "executed", "FAILED": "refused"}
UNDER_WAY = ("IN_PROGRESS", "PENDING", "UNKNOWN")
FOR_EVER = "UNKNOWN_FOREVER"
# What BIND finds wrong with an order before it does anything. TX019 is not among them, nor is
# TX500, which BIND calls a general error of a transfer.
REFUSALS = {
    **{f"TX{number:03}": "the destination, the amount or the currency" for number in range(1, 13)},
    "TX033": "the origin id is too long",
    "TX035": "the description is too long",
    "TX040": "only ARS is transferred",
    "TX042": "the destination is disabled",
    "TX046": "above the daily limit of the account",
}
NOT_FOUND = "TX019"
CLOSED = "GE503"
DUPLICATE = "TRANSACTION_ALREADY_CREATED"

Json = dict[str, Any]
MOST_DIGITS = len(str(MAX_MINOR))
# A JSON number with a fraction is never a float.
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Answer:
    """An answer of BIND: its HTTP status, and its body where that is a JSON object."""

    status: int
    body: Json | None = field(repr=False)

    @property
    def code(self) -> str:
        """The code of an error; empty where there is none."""
        code = (self.body or {}).get("code")
        return code if isinstance(code, str) and code.isalnum() and len(code) <= 10 else ""

    @property
    def words(self) -> str:
        """What the answer was, for a message: `HTTP 409 TX046`. Nothing of the body."""
        return f"HTTP {self.status} {self.code}".strip()


def encoded(body: Json) -> bytes:
    """A body as JSON, with exact decimals as numbers."""
    return _ENCODER.encode(body)


def decoded(status: int, content: bytes) -> Answer:
    """An answer as it came, with exact decimals."""
    try:
        body = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError):
        body = None
    return Answer(status, body if isinstance(body, dict) else None)


def amount_of(minor: int, currency: str) -> Decimal:
    """An amount in minor units as BIND writes it: 4500050 of ARS is 45000.50."""
    return Decimal(minor).scaleb(-_digits(currency))


def read_transfer(key: str, answer: Answer, again_in_s: float) -> TransferReport:
    """The transfer that BIND reports for a key, once it is final.

    Raises OutcomeUnknown while it is not, NotTheSameTransfer, NothingSent.
    """
    if answer.status not in (200, 201) or answer.body is None:
        raise failure_of(answer, again_in_s)
    told = _Told.of(answer.body)
    if told.origin_id not in (None, origin_id_of(key)):
        raise NotTheSameTransfer(f"BIND reports another origin id than {origin_id_of(key)}")
    check_mark(key, told.description)
    status = FINAL.get(told.status)
    if status is None:
        raise _unfinished(f"{told.status} of {origin_id_of(key)}", told.status, again_in_s)
    return TransferReport(
        key=key,
        status=status,
        reference=told.reference if status == "executed" else None,
        reason=None if status == "executed" else "BIND reports FAILED",
        amount_minor=told.amount_minor,
        currency=told.currency,
        destination=told.destination,
        known_before=told.known_before,
    )


def refusal_of(answer: Answer) -> str | None:
    """Why BIND refuses an order before it does anything; None for any other answer."""
    if answer.status != 409 or answer.code not in REFUSALS:
        return None
    return f"{answer.code}: {REFUSALS[answer.code]}"


def failure_of(answer: Answer, again_in_s: float) -> OutcomeUnknown | NothingSent:
    """The failure for an answer that reports no transfer and refuses none."""
    if answer.code == CLOSED and answer.status == 503:
        return NothingSent("BIND has closed the networks (HTTP 503 GE503)")
    if answer.status in (401, 403, 429):
        return NothingSent(f"BIND let the call not in ({answer.words})")
    return OutcomeUnknown(f"BIND gave no outcome ({answer.words})", again_in_s)


def _unfinished(told: str, status: str, again_in_s: float) -> OutcomeUnknown:
    if status == FOR_EVER:
        return OutcomeUnknown(f"BIND will never know the outcome ({told})", for_ever=True)
    # Words of BIND that are in no list stay outside.
    known = told if status in UNDER_WAY else "a status that Amends does not know"
    return OutcomeUnknown(f"BIND has no outcome yet ({known})", again_in_s)


@dataclass(frozen=True, repr=False)
class _Told:
    """What BIND tells of a transfer. Its repr shows nothing: there is an account number in it."""

    status: str
    reference: str
    origin_id: str | None
    amount_minor: int
    currency: str
    destination: str
    description: str | None
    known_before: bool

    @classmethod
    def of(cls, body: Json) -> "_Told":
        """Raises OutcomeUnknown for what can't be compared with our order."""
        value = _object(_object(body, "charge"), "value")
        details = _object(body, "details")
        routing = _object(_object(body, "counterparty"), "account_routing")
        currency = _text(value, "currency")
        return cls(
            status=_text(body, "status"),
            reference=recordable(_text(body, "id")),
            origin_id=_maybe(details, "origin_id"),
            amount_minor=_minor(value.get("amount"), currency),
            currency=currency,
            destination=_maybe(routing, "address") or _text(details, "cbu"),
            description=_maybe(body, "description") or _maybe(details, "description"),
            known_before=DUPLICATE in (details.get("warnings") or ()),
        )


def _object(body: Json, name: str) -> Json:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _maybe(body: Json, name: str) -> str | None:
    found = body.get(name)
    return found if isinstance(found, str) and found else None


def _text(body: Json, name: str) -> str:
    if (found := _maybe(body, name)) is None:
        raise OutcomeUnknown(f"BIND reports a transfer without {name}")
    return found


def _minor(amount: object, currency: str) -> int:
    """Minor units, where the amount is a whole number of them."""
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise OutcomeUnknown("BIND reports a transfer without amount")
    number = Decimal(amount)
    # Before any arithmetic, which would round it or overflow: 1e999999999 is a number as well.
    if not number.is_finite() or number.adjusted() > MOST_DIGITS:
        raise OutcomeUnknown("BIND reports an amount beyond every payment")
    if len(number.as_tuple().digits) > 2 * MOST_DIGITS:
        raise OutcomeUnknown("BIND reports an amount finer than the currency")
    minor = number.scaleb(_digits(currency))
    if minor != minor.to_integral_value():
        raise OutcomeUnknown("BIND reports an amount finer than the currency")
    return int(minor)


def _digits(currency: str) -> int:
    digits = decimals().get(currency)
    if digits is None:
        raise OutcomeUnknown("BIND reports a currency that is none")
    return digits
