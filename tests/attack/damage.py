"""For each clause of each law a damage that breaks it: past all rules, as only a superuser can, or
in what the clients remember. A checker that finds nothing in it is none."""

from dataclasses import dataclass
from typing import Literal

from tests.attack.contents import TIMES

LOG, SAGAS, STEPS = "ledger.event_log", "ledger.sagas", "ledger.saga_steps"
HOLDS, TRANSFERS = "ledger.authorizations", "ledger.transfers"
BANK = "mock_bank.transfers"
NUMBERS = ("max_per_transaction_minor", "daily_limit_minor", "approval_threshold_minor")
INTEGERS = ("amount_minor", "policy_version", "ordinal", "epoch", *NUMBERS)
JSON = ("input", "result", "undo", "facts", "spec", "outputs")


@dataclass(frozen=True)
class Damage:
    """Statements in the place that they damage; `law` begins the sentence of the law, and one of
    the names that it finds ends with `names`."""

    law: str
    statements: tuple[str, ...]
    names: str = ""
    where: Literal["ledger", "bank", "target"] = "ledger"


def one_row(table: str, change: str, condition: str = "true") -> str:
    """In one row that fulfils the condition."""
    one = f"SELECT ctid, tableoid FROM {table} WHERE {condition} LIMIT 1"
    return f"UPDATE {table} SET {change} WHERE (ctid, tableoid) = ({one})"


def other_value(column: str) -> str:
    """Another value, in whatever the column has."""
    if column in INTEGERS:
        return f"{column} = coalesce({column}, 0) + 1"
    if column == "currency":
        return "currency = 'USD'"
    if column in TIMES:
        return f"{column} = coalesce({column}, now()) + interval '1 day'"
    if column == "depends_on":
        return "depends_on = '[\"eve\"]'"
    if column in JSON:
        return f"{column} = '{{\"eve\": 1}}'"
    return f"\"{column}\" = coalesce(\"{column}\", '') || 'x'"
