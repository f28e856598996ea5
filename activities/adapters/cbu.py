"""Checks the account number of Argentine banks: a CBU, or a CVU, which has the same form."""

import re

# Of each block's digits, the last one checks the others. Source: the rule that BIND APIBank
# documents for `to.cbu`, set by the central bank (BCRA, Communication A 2622).
BANK_WEIGHTS = (7, 1, 3, 9, 7, 1, 3)
ACCOUNT_WEIGHTS = (3, 9, 7, 1, 3, 9, 7, 1, 3, 9, 7, 1, 3)
BANK_DIGITS = len(BANK_WEIGHTS) + 1
CBU_DIGITS = BANK_DIGITS + len(ACCOUNT_WEIGHTS) + 1


def check_cbu(text: str) -> str:
    """Checks a CBU and returns it unchanged: 22 digits, both check digits right.

    Raises ValueError with the reason, never with the number.
    """
    if not re.fullmatch(f"[0-9]{{{CBU_DIGITS}}}", text):
        raise ValueError(f"a CBU is {CBU_DIGITS} digits without spaces or signs")
    if not _checks(text[:BANK_DIGITS], BANK_WEIGHTS):
        raise ValueError(f"wrong check digit in the bank block (the first {BANK_DIGITS} digits)")
    if not _checks(text[BANK_DIGITS:], ACCOUNT_WEIGHTS):
        last = CBU_DIGITS - BANK_DIGITS
        raise ValueError(f"wrong check digit in the account block (the last {last} digits)")
    return text


def _checks(block: str, weights: tuple[int, ...]) -> bool:
    weighted = sum(int(digit) * weight for digit, weight in zip(block, weights, strict=False))
    return int(block[-1]) == (10 - weighted % 10) % 10
