"""Builds small statements after the standards: camt of any version, and MT940."""

from activities.statements.entry import Entry, Statement


def camt(*statements: str, version: int = 8, message: int = 53, prefix: str = "") -> str:
    """A file of statements, or of notifications; `prefix` is that of the namespace."""
    root = "BkToCstmrStmt" if message == 53 else "BkToCstmrDbtCdtNtfctn"
    namespace = f"urn:iso:std:iso:20022:tech:xsd:camt.0{message}.001.{version:02}"
    body = (
        f"<Document><{root}><GrpHdr><MsgId>M1</MsgId></GrpHdr>{''.join(statements)}"
        f"</{root}></Document>"
    )
    if prefix:
        body = body.replace("</", "\0").replace("<", f"<{prefix}:").replace("\0", f"</{prefix}:")
        return body.replace("Document>", f'Document xmlns:{prefix}="{namespace}">', 1)
    return body.replace("<Document>", f'<Document xmlns="{namespace}">', 1)


def stmt(*parts: str, tag: str = "Stmt", period: str = "2026-11-02") -> str:
    """A statement of one day."""
    times = (
        f"<FrToDt><FrDtTm>{period}T00:00:00Z</FrDtTm><ToDtTm>{period}T24:00:00Z</ToDtTm></FrToDt>"
        if period
        else ""
    )
    account = "<Acct><Id><Othr><Id>ACC-1</Id></Othr></Id></Acct>"
    return f"<{tag}><Id>S1</Id>{times}{account}{''.join(parts)}</{tag}>"


def bal(kind: str, amount: str, way: str = "CRDT", ccy: str = "EUR", on: str = "2026-11-02") -> str:
    """A balance, with a credit line that is no part of it."""
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>"
        f'<CdtLine><Incl>false</Incl><Amt Ccy="{ccy}">999.00</Amt></CdtLine>'
        f'<Amt Ccy="{ccy}">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd><Dt><Dt>{on}</Dt></Dt></Bal>'
    )


def ntry(
    amount: str,
    *details: str,
    way: str = "DBIT",
    ccy: str = "EUR",
    sts: str = "<Sts><Cd>BOOK</Cd></Sts>",
    reversal: str = "",
    ref: str = "",
) -> str:
    """An entry; `details` are its transactions, or all of its details."""
    found = "".join(details)
    wrapped = found if "<NtryDtls>" in found or not found else f"<NtryDtls>{found}</NtryDtls>"
    return (
        f'<Ntry><Amt Ccy="{ccy}">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd>'
        f"{f'<RvslInd>{reversal}</RvslInd>' if reversal else ''}{sts}"
        "<BookgDt><Dt>2026-11-02</Dt></BookgDt>"
        f"{f'<AcctSvcrRef>{ref}</AcctSvcrRef>' if ref else ''}{wrapped}</Ntry>"
    )


def tx(
    end_to_end_id: str = "", amount: str = "", way: str = "", ref: str = "", ccy: str = "EUR"
) -> str:
    """A transaction as from 001.04 on."""
    refs = f"<AcctSvcrRef>{ref}</AcctSvcrRef>" if ref else ""
    refs += f"<EndToEndId>{end_to_end_id}</EndToEndId>" if end_to_end_id else ""
    amounts = f'<Amt Ccy="{ccy}">{amount}</Amt>' if amount else ""
    return (
        f"<TxDtls><Refs>{refs}</Refs>{amounts}"
        f"{f'<CdtDbtInd>{way}</CdtDbtInd>' if way else ''}"
        "<RltdPties><Cdtr><Nm>somebody</Nm></Cdtr></RltdPties></TxDtls>"
    )


def tx_02(end_to_end_id: str, amount: str = "", kind: str = "TxAmt") -> str:
    """A transaction as in 001.02, with its amount in the details of the amount only."""
    details = f'<AmtDtls><{kind}><Amt Ccy="EUR">{amount}</Amt></{kind}></AmtDtls>' if amount else ""
    return f"<TxDtls><Refs><EndToEndId>{end_to_end_id}</EndToEndId></Refs>{details}</TxDtls>"


def mt940(*lines: str, opening: str = "C261101EUR100,", closing: str = "C261102EUR100,") -> str:
    """One message."""
    fields = [":20:S1", ":25:ACC-1", ":28C:1/1", f":60F:{opening}", *lines, f":62F:{closing}", "-"]
    return "".join(f"{field}\r\n" for field in fields)


def shown(entry: Entry) -> str:
    """An entry in one line: `booked debit 1234 EUR REF1 E2E1 part`."""
    words = [
        entry.status,
        entry.direction,
        entry.amount_minor,
        entry.currency,
        entry.reference or "-",
        entry.end_to_end_id or "-",
        "reversal" if entry.reversal else "",
        entry.batch or "",
        entry.transactions if entry.batch == "total" else "",
    ]
    return " ".join(str(word) for word in words if word != "")


def summed(statement: Statement) -> dict[str, str]:
    """The totals by currency: `open +credits -debits = close (missing) booked/pending/other`."""
    return {
        currency: f"{t.opening_minor} +{t.credits_minor} -{t.debits_minor} = {t.closing_minor} "
        f"({t.missing_minor}) {t.booked}/{t.pending}/{t.other}"
        for currency, t in statement.totals.items()
    }
