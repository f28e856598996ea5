"""For each law a damage that breaks it: past all rules, as only a superuser can. A checker that
finds nothing in it is none."""

from dataclasses import dataclass
from typing import Literal

LOG, SAGAS = "ledger.event_log", "ledger.sagas"


@dataclass(frozen=True)
class Damage:
    """Statements in the place that they damage; `law` begins the sentence of the law."""

    law: str
    statements: tuple[str, ...]
    where: Literal["ledger", "bank", "target"] = "ledger"


def _one(table: str, condition: str) -> str:
    return f"ctid = (SELECT ctid FROM {table} WHERE {condition} LIMIT 1)"


DAMAGES = {
    "an event is cut out": Damage(
        "the versions of an aggregate", (f"DELETE FROM {LOG} WHERE version = 1",)
    ),
    "an author is changed": Damage(
        "the hash of each event",
        (f"UPDATE {LOG} SET user_id = 'user:eve' WHERE event_type = 'AuthorizationApproved'",),
    ),
    "a payload is changed": Damage(
        "the hash of each event",
        (f"UPDATE {LOG} SET payload = payload || '{{\"amount_minor\": 1}}' WHERE version = 1",),
    ),
    "a state row is gone": Damage(
        "each state row", (f"DELETE FROM ledger.agents WHERE {_one('ledger.agents', 'true')}",)
    ),
    "the last event is cut off": Damage(
        "each state row", (f"DELETE FROM {LOG} WHERE event_type = 'AuthorizationCaptured'",)
    ),
    "an event of nobody": Damage("each event names", (f"UPDATE {LOG} SET saga_id = NULL",)),
    "a saga is opened again": Damage(
        "every saga has ended", (f"UPDATE {SAGAS} SET state = 'running', ended_at = NULL",)
    ),
    "an event behind the end": Damage(
        "every saga has ended",
        (
            f"UPDATE {LOG} SET position = DEFAULT, xid = DEFAULT "
            "WHERE event_type = 'AuthorizationApproved'",
        ),
    ),
    "a release that is told again": Damage(
        "nothing is told twice",
        (
            f"UPDATE {LOG} SET event_type = 'AuthorizationApproved' "
            "WHERE event_type = 'AuthorizationCaptured'",
        ),
    ),
    "a step without an outcome": Damage(
        "no step is without", ("UPDATE ledger.saga_steps SET state = 'started'",)
    ),
    "a step that stands in an undone saga": Damage(
        "no step is without",
        (f"UPDATE {SAGAS} SET state = 'compensated' WHERE state = 'completed'",),
    ),
    "a captured payment without its transfer": Damage(
        "a captured payment", ("UPDATE ledger.transfers SET state = 'refused'",)
    ),
    "a transfer of another amount": Damage(
        "a captured payment", ("UPDATE ledger.transfers SET amount_minor = amount_minor + 1",)
    ),
    "a reservation that stays": Damage(
        "what an agent has spent",
        (
            "UPDATE ledger.spend_windows SET amount_minor = amount_minor + 1 "
            f"WHERE {_one('ledger.spend_windows', 'true')}",
        ),
    ),
    "money that nobody captured": Damage(
        "the bank moved",
        (
            "INSERT INTO mock_bank.transfers (key, status, reference, amount_minor, currency, "
            "destination, description) VALUES ('payment/eve', 'executed', 'r', 1, 'ARS', 'd', '')",
        ),
        "bank",
    ),
    "money that did not move": Damage(
        "the bank moved",
        ("UPDATE mock_bank.transfers SET status = 'reversed' WHERE status = 'executed'",),
        "bank",
    ),
    "a role that nobody made": Damage(
        "the target holds", ('CREATE ROLE "attacked-by-eve"',), "target"
    ),
    "a claim that stays": Damage(
        "the target holds", ("UPDATE ledger.resources SET claimed_by = 'change/gone'",)
    ),
    "another result": Damage(
        "a saga ended with the result",
        (f"UPDATE {SAGAS} SET result = '{{}}' WHERE state = 'completed'",),
    ),
}
