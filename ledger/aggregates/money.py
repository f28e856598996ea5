"""Amounts of money: an integer count of minor units and an ISO 4217 code, never a float."""

from decimal import Decimal
from typing import Annotated

from iso4217 import Currency as IsoCurrency
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt

# Ten billion units of a two-decimal currency; far below 2^53, so JSON carries it exactly.
MAX_MINOR = 1_000_000_000_000


def check_currency(code: str) -> str:
    """Checks an ISO 4217 code in capitals and returns it unchanged. Raises ValueError, without the
    value."""
    try:
        known = IsoCurrency(code).code == code
    except ValueError:
        known = False
    if not known:
        raise ValueError("not an ISO 4217 currency code, such as ARS")
    return code


CurrencyCode = Annotated[str, AfterValidator(check_currency)]
MinorUnits = Annotated[StrictInt, Field(ge=0, le=MAX_MINOR)]


class Money(BaseModel):
    """An amount above zero: `minor` units (cents) of `currency` (ISO 4217)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minor: Annotated[StrictInt, Field(gt=0, le=MAX_MINOR)]
    currency: CurrencyCode


def money_text(money: Money) -> str:
    """An amount for people: `45,000.00 ARS`."""
    return amount_text(money.minor, money.currency)


def amount_text(minor: int, currency: str) -> str:
    """Minor units for people, with the currency's own count of decimals; a currency that is not
    known any more has none, and the text says so."""
    try:
        decimals = IsoCurrency(currency).exponent or 0
    except ValueError:
        return f"{minor:,} minor units of {currency}"
    return f"{Decimal(minor).scaleb(-decimals):,.{decimals}f} {currency}"
