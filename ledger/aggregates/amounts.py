"""Amounts of money in words, and the currencies of today. The table is read when it is asked for:
it costs 30 ms, and most commands show no money."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache


@cache
def decimals() -> Mapping[str, int | None]:
    """How many decimals the minor unit of each currency has, by its ISO 4217 code; None for what
    has no minor unit: metals, units of account, XTS and XXX."""
    from iso4217 import Currency

    return {currency.code: currency.exponent for currency in Currency}


@cache
def funds() -> frozenset[str]:
    """The codes of funds, such as CLF and CHW. ISO 4217 says so of each but one, and the library
    does not pass it on."""
    from iso4217 import raw_xml

    named = {
        str(entry.findtext("Ccy"))
        for entry in raw_xml.iter("CcyNtry")
        if entry.find("CcyNm[@IsFund]") is not None
    }
    return frozenset(named | {"UYW"})


def know_currencies() -> None:
    """Read the tables now, from their file: a run of a workflow may open none."""
    decimals()
    funds()


def amount_text(minor: int, currency: str) -> str:
    """Minor units for people, with the currency's own count of decimals: `45,000.00 ARS`. Of a
    currency that is not known (any more), the minor units."""
    places = decimals().get(currency)
    if places is None:
        return f"{minor:,} minor units of {currency}"
    return f"{Decimal(minor).scaleb(-places):,.{places}f} {currency}"
