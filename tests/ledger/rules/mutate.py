"""Takes away one rule at a time and asks which attempts get through then.

All of it happens in transactions that are rolled back: the rule goes, each attempt is made in a
savepoint under the login of its role and ends with SET CONSTRAINTS ALL IMMEDIATE, as a commit does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.ledger.rules.against_events import AGAINST_EVENTS
from tests.ledger.rules.against_grants import AGAINST_GRANTS
from tests.ledger.rules.against_rows import AGAINST_ROWS
from tests.ledger.rules.against_tables import AGAINST_TABLES
from tests.ledger.rules.against_the_owner import AGAINST_THE_OWNER
from tests.ledger.rules.attempt import Attempt, Connection, carry_out
from tests.ledger.rules.mutants import Mutant, all_mutants
from tests.ledger.rules.on_a_stage import LEGAL, ON_A_STAGE

ATTEMPTS = [*AGAINST_ROWS, *AGAINST_EVENTS, *ON_A_STAGE, *AGAINST_THE_OWNER, *AGAINST_TABLES]
ATTEMPTS += AGAINST_GRANTS
DOCUMENT = Path(__file__).parents[3] / "docs" / "rules.md"
_MARKS = ("<!-- made by python -m tests.ledger.rules --write -->\n", "<!-- end -->\n")
# Rules without which nothing gets through, and why they stay.
REDUNDANT = {
    "trigger refuse_truncate on event_log": "each partition has the same one; this one names the "
    "log in its refusal",
    "stamp_row: a row is in the table of its aggregate type": "another identity is refused as "
    "well; the rule names the cause",
    "write_count_events: events at this time count": "an event of this transaction at another time "
    "is refused by require_row; the time leads to one partition",
    "write_count_events: events after the base count": "such an event of this transaction is "
    "refused by require_row; the bound makes the search short",
    "write_count_events: events up to the version count": "such an event of this transaction is "
    "refused by require_row; the bound makes the search short",
    "require_row: an event is of an aggregate type": "PL/pgSQL fails by itself without a row to "
    "look at; the rule says what is wrong",
    "search_path of create_partition": "only create_partitions, which is pinned, calls it for "
    "others than the owner",
    "search_path of write_count_events": "only create_partitions, which is pinned, calls it",
    "search_path of guard_state_table": "nobody but the owner may call it",
    "search_path of refuse_change": "it compares nothing and refuses always",
    "search_path of require_unmoved": "a writer who deceives it loses a race against himself",
    "TimeZone of create_partitions": "shows in the first and last hours of a month only",
    "lock_timeout of create_partitions": "no rule: it keeps writers from waiting",
    "quote_all_identifiers of write_count_events": "no rule: it keeps one text of the function",
    "lock_timeout of record_incarnation": "no rule: it keeps writers from waiting",
    "check of moments in a state table": "stamp_row refuses any other time of the head; the "
    "bound is for the other columns",
    "check of numbers in a state table": "stamp_row sets the base and lets the version grow; the "
    "bound is for the other columns",
    "check of moments in event_log": "no partition takes an infinite time",
    "check of numbers in event_log": "the database numbers the positions; other checks keep the "
    "versions above zero",
    "NOT NULL of base in a state table": "stamp_row sets it",
    "NOT NULL of xid in a state table": "stamp_row sets it",
    "NOT NULL of head_at in a state table": "no event has no time, so require_events refuses",
    "NOT NULL of aggregate_id in a state table": "no event has no id, so require_events refuses; "
    "the others are in a primary key",
    "NOT NULL of aggregate in event_log": "no aggregate type: require_row refuses",
    "NOT NULL of xid in event_log": "it is no row's: require_events refuses",
    "check event_log_version_check": "no row is at version 0: require_row refuses",
    "worker has no DELETE": "refuse_change refuses it again, but for tables without a head",
    "worker has no TRUNCATE": "refuse_change refuses it again, but for tables without a head",
    "worker has no TRIGGER": "a trigger on the log is one on each partition, of which this is not "
    "one; everywhere else it gets through",
    "auditor has no TRIGGER": "the same",
}
# A savepoint can't hold these: they are about the transaction itself.
_OF_THE_TRANSACTION = ("SET TRANSACTION", "PREPARE TRANSACTION")


@dataclass
class Outcome:
    """What happened without one rule: attempts that got through, that something else refused (with
    its SQLSTATE), and legal commits that were refused."""

    mutant: Mutant
    through: list[str] = field(default_factory=list)
    otherwise: dict[str, str] = field(default_factory=dict)
    too_strict: list[str] = field(default_factory=list)

    @property
    def noticed(self) -> bool:
        """Whether the attempts and legal commits tell this ledger from one with all its rules."""
        return bool(self.through or self.otherwise or self.too_strict)


def fits_a_savepoint(attempt: Attempt) -> bool:
    return not any(text.startswith(_OF_THE_TRANSACTION) for text in attempt.texts)


async def outcome_of(connection: Connection, attempt: Attempt, partition: str) -> str:
    """The SQLSTATE that refuses the attempt, or none; what it did is rolled back."""
    await connection.execute("SAVEPOINT attempt")
    try:
        if attempt.given:
            await connection.execute("SET LOCAL session_replication_role = replica")
            await carry_out(connection, attempt.given, partition)
            await connection.execute("SET LOCAL session_replication_role = origin")
        login = f"SET LOCAL SESSION AUTHORIZATION amends_{attempt.role}"
        await connection.execute(login.encode())
        await carry_out(connection, attempt.statements, partition)
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        return ""
    except psycopg.Error as error:
        return error.sqlstate or "no answer"
    finally:
        await connection.execute("ROLLBACK TO attempt")


async def run(connection: Connection, partition: str) -> list[Outcome]:
    """Every mutant, one after the other."""
    mutants = await all_mutants(connection, partition)
    await connection.rollback()
    return [await try_out(connection, mutant, partition) for mutant in mutants]


async def try_out(connection: Connection, mutant: Mutant, partition: str) -> Outcome:
    """Take the rule away, make the attempts that could notice it, and bring it back."""
    outcome = Outcome(mutant)
    await carry_out(connection, mutant.statements, partition)
    for attempt in filter(fits_a_savepoint, suitable(mutant, ATTEMPTS, partition)):
        refusal = await outcome_of(connection, attempt, partition)
        if not refusal:
            outcome.through.append(attempt.name)
        elif refusal != attempt.refusal:
            outcome.otherwise[attempt.name] = refusal
    if mutant.in_a_function:
        for commit in LEGAL:
            if await outcome_of(connection, commit, partition):
                outcome.too_strict.append(commit.name)
    await connection.rollback()
    return outcome


def suitable(mutant: Mutant, attempts: Sequence[Attempt], partition: str) -> Iterable[Attempt]:
    """The attempts whose outcome the mutant may change."""
    for attempt in attempts:
        if mutant.role and mutant.role != attempt.role:
            continue
        if mutant.rules and attempt.rule not in mutant.rules:
            continue
        text = " ".join(attempt.texts).replace("{partition}", partition)
        if mutant.setting and "SET LOCAL" not in text:
            continue
        if not mutant.rules and attempt.rule == "grant" and not attempt.given:
            continue
        if not mutant.table or f"ledger.{mutant.table}" in text:
            yield attempt


def table(outcomes: Iterable[Outcome]) -> str:
    """The table of docs/rules.md: a line per kind of rule."""
    families: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        families.setdefault(outcome.mutant.family, []).append(outcome)
    lines = ["| rule removed | times | got through | for example |", "|---|---|---|---|"]
    lines += [_line(family, told) for family, told in families.items()]
    return "\n".join(lines) + "\n"


def document(text: str, outcomes: Iterable[Outcome]) -> str:
    """docs/rules.md with the table of these outcomes."""
    before, rest = text.split(_MARKS[0])
    _, after = rest.split(_MARKS[1])
    return before + _MARKS[0] + table(outcomes) + _MARKS[1] + after


def _line(family: str, told: Sequence[Outcome]) -> str:
    through = [name for outcome in told for name in outcome.through]
    strict = [name for outcome in told for name in outcome.too_strict]
    if through:
        # One that is about this very privilege, if there is one.
        example = max(through, key=lambda name: name.split()[0] in family)
        example = example.replace("{partition}", "a partition")
    elif strict:
        example = f"refused though legal: {strict[0]}"
    else:
        example = "none"
    if family in REDUNDANT:
        quiet = sum(not outcome.through for outcome in told)
        example += f" ({quiet} of {len(told)} covered: {REDUNDANT[family]})"
    return f"| {family} | {len(told)} | {len(through) or '-'} | {example} |"
