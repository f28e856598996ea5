"""The words of strangers (reasons, evidence, what a provider says), made safe for the two places
where people read them: a terminal, and a page in Markdown. Every such place calls these."""

import re

# A reason has at most 200 characters; what a provider says may have any number.
MOST_CHARACTERS = 500
# The server refuses a summary of more than 400 bytes, and with it the command that has it.
_MOST_SUMMARY_BYTES = 400
# What a provider says is recorded up to here: more than a person reads, and within the bounds of
# the ledger.
MOST_RECORDED = 2_000
# Account and card numbers (a CBU has 22 digits, an IBAN begins with two letters) are personal data,
# in whatever groups: no page has them. An operation id that we made begins with the digits of a
# time, and is none.
_ACCOUNT = re.compile(
    r"(?P<ours>\b20\d{6}-[0-2]\d{5}-(?:[0-9a-f]{8}|[0-9a-f]{4})\b)"
    r"|\b[A-Z]{2}\d{2}(?:[ ./_\u2010-\u2015\u2212\uFFFD-]?[A-Z0-9]){11,30}\b"
    r"|\d(?:[ ./_\u2010-\u2015\u2212\uFFFD-]?\d){15,}"
)
# What Markdown gives a meaning, a dash of two hyphens, and what makes a link of an address: there
# escapes have no effect, and HTML gets through.
_MEANS = re.compile(r"[\\`*_{}\[\]<>~$&#^]|-(?=-)|(?<=-)-|:(?=//)|(?<=mailto):", re.IGNORECASE)


def plain(text: str) -> str:
    """The text for a line of a terminal: without characters that control the terminal, or reverse
    the direction of writing."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def plain_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(plain(line.expandtabs(4)) for line in text.split("\n"))


def escaped(text: str) -> str:
    """The text for a page, in one line, so that no part of the text is taken for Markdown or HTML;
    cut where it is too long."""
    return _MEANS.sub(r"\\\g<0>", _line(text))


def said(text: str) -> str:
    """Words that anybody may have written, for a page: escaped, and without account numbers."""
    return escaped(without_accounts(text))


def without_accounts(text: str) -> str:
    """The text in one line, without numbers that may be those of an account or a card."""
    # In one line first: whatever was between the digits is seen by nobody.
    line = plain(" ".join(text.split()))
    return _ACCOUNT.sub(lambda found: found["ours"] or "(a number)", line)


def recordable(text: str) -> str:
    """Words of a provider as the ledger takes them: cut where they are too long, and without the
    characters that PostgreSQL refuses."""
    cut = text if len(text) <= MOST_RECORDED else f"{text[: MOST_RECORDED - 1]}…"
    return cut.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def code(text: str) -> str:
    """What a person copies or types, for a page: shown as it is, unless it would end the code."""
    return escaped(text) if "`" in text else f"`{_line(text)}`"


def summary_of(text: str) -> str:
    """The text as the summary of a command, which the Web UI shows as it is."""
    line = plain(" ".join(text.split()))
    return line.encode()[:_MOST_SUMMARY_BYTES].decode(errors="ignore")


def _line(text: str) -> str:
    line = plain(" ".join(text.split()))
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
