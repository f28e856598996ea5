"""What breaks the laws of the record, and of the contents of the state tables."""

from collections.abc import Iterator

from tests.attack.contents import COLUMNS, law_of
from tests.attack.damage import HOLDS, LOG, SAGAS, STEPS, Damage, one_row, other_value
from tests.attack.laws import HASHES


def _of_contents() -> Iterator[Damage]:
    for table, columns in COLUMNS.items():
        name = f"ledger.{table}"
        for column in columns:
            yield Damage(law_of(table), (one_row(name, other_value(column)),), f" {column}")
        late = "head_at = head_at + interval '1 second'"
        yield Damage(law_of(table), (one_row(name, late),), " head_at")
        for one, other in _STATES[table]:
            change = one_row(name, f"state = '{other}'", f"state = '{one}'")
            yield Damage(law_of(table), (change,), " state")


# States that a short run leaves for sure, and what else they could be.
_STATES: dict[str, tuple[tuple[str, str], ...]] = {
    "agents": (("active", "revoked"),),
    "policies": (),
    "authorizations": (("captured", "denied"), ("denied", "voided"), ("rejected", "expired")),
    "transfers": (("executed", "refused"),),
    "sagas": (("completed", "compensated"), ("compensated", "failed")),
    "saga_steps": (("done", "refused"), ("undone", "skipped")),
    "resources": (("present", "absent"),),
}
OF_RECORD = [
    Damage("the versions of an aggregate", (f"DELETE FROM {LOG} WHERE version = 1",)),
    *(
        Damage(HASHES, (one_row(LOG, change, "event_type = 'AuthorizationApproved'"),))
        for change in ("user_id = 'user:eve'", 'payload = payload || \'{"reason": "eve"}\'')
    ),
    Damage("each aggregate has", ("DELETE FROM ledger.agents WHERE agent_id = 'bot-0'",)),
    Damage("each state row", (f"DELETE FROM {LOG} WHERE event_type = 'AuthorizationCaptured'",)),
    Damage("each state row", (one_row(HOLDS, "version = version + 1"),)),
    Damage("each event is of a saga", (one_row(LOG, "saga_id = NULL"),)),
    Damage("each event is of a saga", (f"DELETE FROM {SAGAS} WHERE kind = 'agent'",)),
    Damage(
        "each event happened", (one_row(LOG, '"timestamp" = "timestamp" + interval \'1 hour\''),)
    ),
    Damage(
        "the times of the events",
        (
            f'UPDATE {LOG} AS late SET "timestamp" = first."timestamp" - interval \'1 us\' '
            f"FROM {LOG} AS first WHERE first.aggregate_id = late.aggregate_id "
            "AND first.version = 1 AND late.version = 2",
        ),
    ),
    *(
        Damage("a saga began before", (one_row(SAGAS, change),))
        for change in (
            "started_at = started_at - interval '1 day'",
            "ended_at = started_at - interval '1 us'",
            "ended_at = ended_at + interval '1 day'",
        )
    ),
    *(
        Damage("every saga has ended", (one_row(SAGAS, change),))
        for change in ("state = 'running'", "ended_at = NULL")
    ),
    Damage("a saga has one event that ends", (one_row(SAGAS, "state = 'failed'"),)),
    Damage(
        "a saga has one event that ends",
        (one_row(LOG, "event_type = 'SagaCompleted'", "event_type = 'SagaStarted'"),),
    ),
    Damage(
        "nothing happens in a saga behind",
        (
            one_row(
                LOG,
                "position = DEFAULT, xid = DEFAULT",
                "event_type = 'AuthorizationApproved'",
            ),
        ),
    ),
    Damage(
        "nothing is told twice",
        (
            f"UPDATE {LOG} SET event_type = 'AuthorizationApproved' "
            "WHERE event_type = 'AuthorizationCaptured'",
        ),
    ),
    *(
        Damage("no step is without an outcome", (one_row(STEPS, f"state = '{state}'"),))
        for state in ("started", "unknown")
    ),
    *(
        Damage(
            "a saga that was undone leaves",
            (f"UPDATE {SAGAS} SET state = '{state}' WHERE state = 'completed'",),
        )
        for state in ("compensated", "failed")
    ),
    *(
        Damage(
            "a saga that completed has", (one_row(STEPS, f"state = '{state}'", "state = 'done'"),)
        )
        for state in ("undone", "failed")
    ),
    *(
        Damage("the steps of a saga", (change,))
        for change in (
            one_row(STEPS, "ordinal = 4", "ordinal = 3"),
            one_row(STEPS, "ordinal = 2", "ordinal = 1"),
            f"DELETE FROM {STEPS} WHERE ordinal = 1",
        )
    ),
    *(
        Damage("where a saga has ended", (one_row(SAGAS, change),))
        for change in (
            "waits_for = 'approval', waits_on = 'user', waits_since = now()",
            "waits_for = 'capture', waits_on = 'user', waits_since = now(), waits_until = now()",
        )
    ),
    *(
        Damage("where a saga has ended", (one_row(STEPS, change),))
        for change in ("attention = 'eve'", "delayed = 'eve'", "looked_up_until = now()")
    ),
    *_of_contents(),
]
