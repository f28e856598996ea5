"""Writes camt.053.001.08 piece by piece, so that a statement of any size needs no memory."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from activities.statements.entry import Direction, Entry, Statement
from ledger.aggregates.amounts import RECORDED

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
_INDICATORS: dict[Direction, str] = {"credit": "CRDT", "debit": "DBIT"}
_STATUSES = {"booked": "BOOK", "pending": "PDNG", "other": "INFO"}


def head(message_id: str, at: datetime) -> str:
    """The beginning of a file."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{NAMESPACE}">\n<BkToCstmrStmt>\n'
        f"<GrpHdr><MsgId>{escape(message_id)}</MsgId><CreDtTm>{_time(at)}</CreDtTm></GrpHdr>\n"
    )


def opening(statement: Statement) -> str:
    """The beginning of a statement, with its period and, where it has one, its balances."""
    period, balances = "", ""
    if statement.begins_at and statement.ends_at:
        begins, ends = _time(statement.begins_at), _time(statement.ends_at)
        period = f"<FrToDt><FrDtTm>{begins}</FrDtTm><ToDtTm>{ends}</ToDtTm></FrToDt>\n"
    for currency, totals in statement.totals.items():
        for kind, minor, at in (
            ("OPBD", totals.opening_minor, statement.begins_at),
            ("CLBD", totals.closing_minor, statement.ends_at),
        ):
            if minor is not None and at is not None:
                balances += _balance(kind, minor, currency, at.date().isoformat())
    return (
        f"<Stmt>\n<Id>{escape(statement.id)}</Id>\n{period}"
        f"<Acct><Id><Othr><Id>{escape(statement.account)}</Id></Othr></Id></Acct>\n{balances}"
    )


def entry(parts: Sequence[Entry]) -> str:
    """An entry, by the parts that it has: one, or those of a batch."""
    first = parts[0]
    single = len(parts) == 1 and first.batch is None
    signed = sum(part.signed_minor for part in parts)
    way: Direction = first.direction if single else "credit" if signed >= 0 else "debit"
    fields = [
        _amount(abs(signed), first.currency),
        _tag("CdtDbtInd", _INDICATORS[way]),
        _tag("RvslInd", "true") if first.reversal else "",
        f"<Sts>{_tag('Cd', _STATUSES[first.status])}</Sts>",
        f"<BookgDt>{_tag('Dt', first.booked_on.isoformat())}</BookgDt>" if first.booked_on else "",
        _tag("AcctSvcrRef", first.reference) if single else "",
        f"<BkTxCd><Prtry>{_tag('Cd', 'TRANSFER')}</Prtry></BkTxCd>",
    ]
    details = "".join(_transaction(part, single) for part in parts)
    return f"<Ntry>{''.join(fields)}<NtryDtls>{details}</NtryDtls></Ntry>\n"


def closing() -> str:
    """The end of a statement."""
    return "</Stmt>\n"


def tail() -> str:
    """The end of a file."""
    return "</BkToCstmrStmt>\n</Document>\n"


def written(
    message_id: str, at: datetime, statements: Iterable[tuple[Statement, Iterable[Sequence[Entry]]]]
) -> Iterator[str]:
    """The pieces of a whole file."""
    yield head(message_id, at)
    for statement, entries in statements:
        yield opening(statement)
        yield from map(entry, entries)
        yield closing()
    yield tail()


def decimal_text(minor: int, currency: str) -> str:
    """Minor units, not below 0, as a decimal with a point: `45000.00`."""
    places = RECORDED[currency]
    if not places:
        return str(minor)
    text = str(minor).rjust(places + 1, "0")
    return f"{text[:-places]}.{text[-places:]}"


def _transaction(part: Entry, single: bool) -> str:
    refs = "" if single else _tag("AcctSvcrRef", part.reference)
    refs += _tag("EndToEndId", part.end_to_end_id)
    amount = _amount(part.amount_minor, part.currency)
    way = _tag("CdtDbtInd", _INDICATORS[part.direction])
    return f"<TxDtls>{f'<Refs>{refs}</Refs>' if refs else ''}{amount}{way}</TxDtls>"


def _balance(kind: str, minor: int, currency: str, on: str) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry>{_tag('Cd', kind)}</CdOrPrtry></Tp>{_amount(abs(minor), currency)}"
        f"{_tag('CdtDbtInd', 'CRDT' if minor >= 0 else 'DBIT')}<Dt>{_tag('Dt', on)}</Dt></Bal>\n"
    )


def _amount(minor: int, currency: str) -> str:
    return f'<Amt Ccy="{currency}">{decimal_text(minor, currency)}</Amt>'


def _tag(name: str, text: str | None) -> str:
    return f"<{name}>{escape(text)}</{name}>" if text else ""


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
