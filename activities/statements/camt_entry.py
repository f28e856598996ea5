"""Turns the elements of a camt file into entries and statements: what they mean, by ISO 20022."""

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Literal
from xml.etree.ElementTree import Element

from activities.statements.amounts import minor_units
from activities.statements.entry import (
    Direction,
    Entry,
    Statement,
    Status,
    Totals,
    checked_reference,
)

# A batch is held until its entry ends. Schemes of bulk payments stop at or below this.
MAX_TRANSACTIONS = 100_000
# What a bank writes for a payment that was sent without an end-to-end id.
NOT_PROVIDED = "NOTPROVIDED"
_DIRECTIONS: dict[str, Direction] = {"CRDT": "credit", "DBIT": "debit"}
_STATUSES: dict[str, Status] = {"BOOK": "booked", "PDNG": "pending"}
# What a schema lets be there more than once in what is read.
_REPEATED = frozenset(
    (
        *("Avlbty", "NtryDtls", "TxDtls", "Intrst", "AddtlDtInf", "SplmtryData", "Chrgs"),
        *("CdtLine", "RltdRmtInf", "RltdQties", "CshDpst", "Prtry"),
    )
)
_REVERSALS = {"true": True, "1": True, "false": False, "0": False}
_OPENING, _CLOSING, _PREVIOUS, _INTERIM = "OPBD", "CLBD", "PRCD", "ITBD"

# The amount of a transaction with its currency (None: not there), its direction, its reference, its
# end-to-end id.
_Transaction = tuple[tuple[str, str] | None, Direction | None, str | None, str | None]
_Balance = tuple[str, str, int, date]
Node = dict[str, Any]


class Reading:
    """What was read of a file so far. All methods raise ValueError for what can't be."""

    def __init__(self, complete: bool, prefix: str, zone: tzinfo) -> None:
        self._complete, self._prefix, self._zone = complete, prefix, zone
        self._transaction_amounts = [
            "/".join(f"{prefix}{local}" for local in path.split("/"))
            for path in ("Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/InstdAmt/Amt")
        ]
        batch = ("NtryDtls", "Btch", "NbOfTxs")
        self._count_of_batch = "/".join(f"{prefix}{local}" for local in batch)
        self._taken: list[Entry | Statement] = []
        self._balances: list[_Balance] = []
        self._totals: dict[str, Totals] = {}
        self._transactions: list[_Transaction] = []
        # The first day on which an entry of the statement was booked.
        self._booked_from: date | None = None
        self.statements = self._entries = 0

    def taken(self) -> list[Entry | Statement]:
        """What was completed since the last time."""
        taken, self._taken = self._taken, []
        return taken

    def transaction(self, element: Element) -> None:
        """Keeps a transaction until its entry ends."""
        if len(self._transactions) == MAX_TRANSACTIONS:
            raise ValueError(f"an entry has more than {MAX_TRANSACTIONS:,} transactions")
        fields = self._fields(element)
        amount = None
        for path in self._transaction_amounts:
            if (found := element.find(path)) is not None:
                amount = _text(found), found.get("Ccy", "")
                break
        refs = self._fields(fields["Refs"]) if "Refs" in fields else {}
        indicator = fields.get("CdtDbtInd")
        direction = _direction(indicator) if indicator is not None else None
        reference, end_to_end_id = _optional(refs, "AcctSvcrRef"), _optional(refs, "EndToEndId")
        if end_to_end_id == NOT_PROVIDED:
            end_to_end_id = None
        self._transactions.append((amount, direction, reference, end_to_end_id))

    def entry(self, element: Element) -> None:
        """Completes an entry, whose transactions were kept."""
        node = self._fields(element)
        amount_minor, currency = _amount(_needed(node, "Amt"))
        fields: dict[str, Any] = {
            "statement": self.statements,
            "number": self._entries,
            "status": self._status(_needed(node, "Sts")),
            "direction": _direction(_needed(node, "CdtDbtInd")),
            "amount_minor": amount_minor,
            "currency": currency,
            "reversal": "RvslInd" in node and _reversal(_text(node["RvslInd"])),
            "booked_on": self._moment(node["BookgDt"]).date() if "BookgDt" in node else None,
            "reference": _optional(node, "AcctSvcrRef"),
        }
        found = self._split(fields, element)
        totals = self._totals.get(currency)
        if totals is None:
            totals = self._totals[currency] = Totals()
        for each in found:
            totals.count(each)
        if (on := fields["booked_on"]) is not None and fields["status"] == "booked":
            self._booked_from = min(on, self._booked_from or on)
        self._taken += found
        self._entries += 1
        self._transactions = []

    def _split(self, fields: Node, element: Element) -> list[Entry]:
        """The entry, or what its transactions are; their signed amounts sum up to the entry's."""
        transactions = self._transactions
        counted = max(self._counted(element), len(transactions)) if len(transactions) < 2 else 0
        if counted > 1 and not transactions:
            return [Entry(**fields, batch="total", transactions=counted)]
        # Of a batch of several with one of its transactions, that one is not the entry.
        if len(transactions) <= 1 and counted <= 1:
            for _, _, reference, end_to_end_id in transactions:
                fields["reference"] = reference or fields["reference"]
                fields["end_to_end_id"] = end_to_end_id
            return [Entry(**fields)]
        currency = fields["currency"]
        if any(amount is None or amount[1] != currency for amount, *_ in transactions):
            many = max(counted, len(transactions))
            return [Entry(**fields, batch="total", transactions=many)]
        parts = [
            Entry(
                **fields
                | {
                    "amount_minor": minor_units(amount[0], currency),
                    "direction": direction or fields["direction"],
                    "reference": reference,
                    "end_to_end_id": end_to_end_id,
                    "batch": "part",
                    "part": part,
                }
            )
            for part, (amount, direction, reference, end_to_end_id) in enumerate(transactions)
            if amount is not None
        ]
        whole = Entry(**fields)
        remainder = whole.signed_minor - sum(part.signed_minor for part in parts)
        if remainder:
            way: Direction = "credit" if remainder > 0 else "debit"
            left: Node = {"amount_minor": abs(remainder), "direction": way, "batch": "remainder"}
            left["part"] = len(parts)
            parts.append(Entry(**fields | left))
        return parts

    def _counted(self, element: Element) -> int:
        """How many transactions the batches of an entry count, which are not in the file."""
        texts = [_text(found) for found in element.iterfind(self._count_of_batch)]
        if not all(text.isdecimal() and len(text) <= 15 for text in texts):
            raise ValueError("NbOfTxs is at most 15 digits")
        return sum(map(int, texts))

    def balance(self, element: Element) -> None:
        """Keeps a balance; of the kinds that say nothing of booked entries, nothing."""
        node = self._fields(element)
        path = "/".join(f"{self._prefix}{local}" for local in ("Tp", "CdOrPrtry", "Cd"))
        kind = element.findtext(path, "").strip()
        if kind not in (_OPENING, _CLOSING, _PREVIOUS, _INTERIM):
            return
        amount_minor, currency = _amount(_needed(node, "Amt"))
        sign = 1 if _direction(_needed(node, "CdtDbtInd")) == "credit" else -1
        on = self._moment(_needed(node, "Dt")).date()
        self._balances.append((kind, currency, sign * amount_minor, on))

    def statement(self, element: Element) -> None:
        """Completes a statement."""
        node = self._fields(element)
        for currency in {currency for _, currency, _, _ in self._balances}:
            totals = self._totals.setdefault(currency, Totals())
            mine = [each for each in self._balances if each[1] == currency]
            totals.opening_minor = _first(mine, (_OPENING, _PREVIOUS, _INTERIM), "opening")
            totals.closing_minor = _first(mine[::-1], (_CLOSING, _INTERIM), "closing")
        begins_at, ends_at = self._period(node.get("FrToDt"))
        self._taken.append(
            Statement(
                statement=self.statements,
                id=_text(_needed(node, "Id")),
                account=self._account(element),
                complete=self._complete,
                begins_at=begins_at,
                ends_at=ends_at,
                totals=self._totals,
            )
        )
        self.statements += 1
        self._totals, self._balances, self._booked_from = {}, [], None

    def _account(self, element: Element) -> str:
        for path in ("Acct/Id/IBAN", "Acct/Id/Othr/Id"):
            named = "/".join(f"{self._prefix}{local}" for local in path.split("/"))
            if (found := element.find(named)) is not None:
                return _text(found)
        return ""

    def _period(self, element: Element | None) -> tuple[datetime | None, datetime | None]:
        """The period that the statement names, or the days between its balances."""
        if element is not None:
            node = self._fields(element)
            begins_at = self._instant(_needed(node, "FrDtTm"))
            ends_at = self._instant(_needed(node, "ToDtTm"))
            if ends_at < begins_at:
                raise ValueError("the period ends before it begins")
            return begins_at, ends_at
        opened = [on for kind, _, _, on in self._balances if kind in (_OPENING, _PREVIOUS)]
        closed = [on for kind, _, _, on in self._balances if kind == _CLOSING]
        if not opened or not closed:
            return None, None
        # Banks date an opening balance by its own day or by the evening before: entries tell.
        first, booked_from = min(opened), self._booked_from
        if booked_from is not None and booked_from <= first:
            return days(first - timedelta(days=1), max(closed), self._zone)
        return days(first, max(closed), self._zone)

    def _fields(self, element: Element) -> dict[str, Element]:
        """What is in an element, by its local name; what may be there more than once, once."""
        start = len(self._prefix)
        found = {child.tag[start:]: child for child in element}
        if len(found) != len(element):
            names = [child.tag[start:] for child in element]
            for name in found.keys() - _REPEATED:
                if names.count(name) > 1:
                    raise ValueError(f"{name} is there twice")
        return found

    def _status(self, element: Element) -> Status:
        # A bank's own word (Prtry) says nothing that could be counted.
        code = _text(element) if not len(element) else element.findtext(f"{self._prefix}Cd", "")
        return _STATUSES.get(code.strip(), "other")

    def _moment(self, element: Element) -> datetime:
        node = self._fields(element)
        # A date of XML Schema may have a zone behind it.
        if "Dt" in node:
            return _iso(_text(node["Dt"])[:10])
        return self._instant(_needed(node, "DtTm"))

    def _instant(self, element: Element) -> datetime:
        """A time; without a zone it is the bank's."""
        # XML Schema has the end of a day as hour 24 of it.
        day, mark, rest = _text(element).partition("T24:00:00")
        found = _iso(f"{day}T00:00:00{rest}") + timedelta(days=1) if mark else _iso(day)
        return found if found.tzinfo else found.replace(tzinfo=self._zone)


def days(opened: date, closed: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """The period between a balance of one day and a balance of another: the opening balance is that
    of the evening before, unless both are of the same day."""
    first, midnight = min(opened + timedelta(days=1), closed), time(tzinfo=zone)
    return datetime.combine(first, midnight), datetime.combine(closed + timedelta(days=1), midnight)


def _first(
    balances: list[_Balance], kinds: tuple[str, ...], role: Literal["opening", "closing"]
) -> int | None:
    for kind in kinds:
        amounts = [amount for each, _, amount, _ in balances if each == kind]
        if kind != _INTERIM and len(amounts) > 1:
            raise ValueError(f"there are {len(amounts)} balances {kind} of one currency")
        # A page of a statement begins and ends with an interim balance: with one alone, it ends.
        if kind == _INTERIM and role == "opening" and not _opens(balances):
            continue
        if amounts:
            return amounts[0]
    return None


def _opens(balances: list[_Balance]) -> bool:
    """Whether the first interim balance is the one before the entries."""
    kinds = [kind for kind, *_ in balances]
    return kinds.count(_INTERIM) > 1 or _CLOSING in kinds


def _needed(node: dict[str, Element], name: str) -> Element:
    if name not in node:
        raise ValueError(f"{name} is missing")
    return node[name]


def _text(element: Element) -> str:
    if len(element):
        raise ValueError("there are elements where a text belongs")
    return (element.text or "").strip()


def _optional(node: dict[str, Element], name: str) -> str | None:
    return (checked_reference(_text(node[name])) or None) if name in node else None


def _amount(element: Element) -> tuple[int, str]:
    currency = element.get("Ccy", "")
    return minor_units(_text(element), currency), currency


def _direction(element: Element) -> Direction:
    direction = _DIRECTIONS.get(_text(element))
    if direction is None:
        raise ValueError("CdtDbtInd is neither CRDT nor DBIT")
    return direction


def _reversal(text: str) -> bool:
    if text not in _REVERSALS:
        raise ValueError("RvslInd is neither true nor false")
    return _REVERSALS[text]


def _iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a date or a time is not one of ISO 8601") from None
