"""Words amounts of money for people."""

from decimal import Decimal

from iso4217 import Currency


def amount_text(minor: int, currency: str) -> str:
    """Minor units for people, with the currency's own count of decimals: `45,000.00 ARS`. Of a
    currency that is not known (any more), the minor units."""
    try:
        decimals = Currency(currency).exponent
    except ValueError:
        decimals = None
    if decimals is None:
        return f"{minor:,} minor units of {currency}"
    return f"{Decimal(minor).scaleb(-decimals):,.{decimals}f} {currency}"
