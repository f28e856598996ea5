"""Amounts of money: an integer count of minor units and an ISO 4217 code, never a float."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt

from ledger.aggregates.amounts import amount_text as amount_text
from ledger.aggregates.amounts import decimals, funds

# Ten billion units of a two-decimal currency; far below 2^53, so JSON carries it exactly.
MAX_MINOR = 1_000_000_000_000


def check_currency(code: str) -> str:
    """Checks that a code, in capitals, is a currency that payments are made in, and returns it
    unchanged. Raises ValueError, without the value.

    For what is new only: nothing that is on record is read through this.
    """
    if code not in decimals():
        raise ValueError("not an ISO 4217 currency code, such as ARS")
    if code in funds() or decimals()[code] is None:
        raise ValueError("a fund, a metal or a unit of account, in which nothing is paid")
    return code


CurrencyCode = Annotated[str, AfterValidator(check_currency)]


class Money(BaseModel):
    """An amount above zero: `minor` units (cents) of `currency` (ISO 4217)."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    minor: Annotated[StrictInt, Field(gt=0, le=MAX_MINOR)]
    currency: CurrencyCode


def money_text(money: Money) -> str:
    """An amount for people: `45,000.00 ARS`."""
    return amount_text(money.minor, money.currency)
