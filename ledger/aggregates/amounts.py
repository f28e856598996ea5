"""Amounts of money in words, and the currencies of today. Their table is read when it is asked for:
it costs 30 ms, and only what is new is checked against it."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache

# The currencies of each count of decimals when this version was made: whoever shows an amount needs
# no other table. A code stays here when it is retired, since amounts of it are on record.
_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN "
        "BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD "
        "FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW "
        "KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR "
        "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG "
        "SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD "
        "USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
RECORDED = {code: places for places, codes in _CODES.items() for code in codes.split()}


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


@cache
def published() -> str:
    """The date on which this list of ISO 4217 was published: its version, which each authorization
    records."""
    from iso4217 import raw_xml

    return str(raw_xml.attrib["Pblshd"])


def know_currencies() -> None:
    """Read the tables now, from their file: a run of a workflow may open none."""
    decimals()
    funds()
    published()


def amount_text(minor: int, currency: str) -> str:
    """Minor units for people, with the currency's own count of decimals: `45,000.00 ARS`. Of a
    currency that is not known (any more), the minor units."""
    places = RECORDED.get(currency)
    if places is None and (places := decimals().get(currency)) is None:
        return f"{minor:,} minor units of {currency}"
    return f"{Decimal(minor).scaleb(-places):,.{places}f} {currency}"
