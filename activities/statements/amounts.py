"""Decimal amounts of files as integers in minor units, exactly."""

import re

from ledger.aggregates.amounts import RECORDED, decimals

# ISO 20022 has 18 digits in all, MT940 15 characters; so many digits of minor units fit a bigint.
MAX_DIGITS = 18
_DECIMAL = re.compile(r"\+?([0-9]*)(?:[.,]([0-9]*))?", re.ASCII)


def minor_units(text: str, currency: str) -> int:
    """The amount in minor units, by ISO 4217. Zeros beyond the currency's decimals are no amount.

    Raises ValueError, without the amount, for an unknown currency and for an amount that is none,
    is below zero, or is finer than the currency's minor unit.
    """
    places = RECORDED.get(currency)
    if places is None and (places := decimals().get(currency)) is None:
        raise ValueError("the currency has no minor unit in ISO 4217")
    match = _DECIMAL.fullmatch(text)
    whole, fraction = match.groups(default="") if match else ("", "")
    if not match or not whole + fraction or len(whole + fraction) > MAX_DIGITS:
        raise ValueError(f"an amount is {MAX_DIGITS} digits at most and one decimal mark")
    if fraction[places:].strip("0"):
        raise ValueError(f"an amount has more than the {places} decimals of {currency}")
    minor = int(whole + fraction[:places].ljust(places, "0") or "0")
    if minor >= 10**MAX_DIGITS:
        raise ValueError(f"an amount has more than {MAX_DIGITS} digits of minor units")
    return minor
