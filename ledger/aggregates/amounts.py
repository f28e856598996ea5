"""Words amounts of money for people."""

from decimal import Decimal

from iso4217 import Currency

# How many decimals the minor unit of each code of today has; None for what has no minor unit:
# metals, units of account, XTS and XXX.
DECIMALS = {currency.code: currency.exponent for currency in Currency}


def amount_text(minor: int, currency: str) -> str:
    """Minor units for people, with the currency's own count of decimals: `45,000.00 ARS`. Of a
    currency that is not known (any more), the minor units."""
    decimals = DECIMALS.get(currency)
    if decimals is None:
        return f"{minor:,} minor units of {currency}"
    return f"{Decimal(minor).scaleb(-decimals):,.{decimals}f} {currency}"
