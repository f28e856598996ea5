"""Laws of the contents of the state tables: each column says what the last event says that tells
of it. What no event tells in its payload (the columns of the head, a person's wait) is elsewhere.
"""

from collections.abc import Iterator, Mapping

# By table and column: the field of a payload that tells of it, where it has another name.
_OTHERWISE = {
    ("sagas", "cause_reason"): "reason",
    ("resources", "changed_by"): "change",
}
# The events that tell of a column, where not each with such a field does.
_ONLY = {
    # What was refused has an epoch and an input of its own, and a closed run its id.
    ("sagas", "epoch"): "Saga(TakenOver|Lost|Compensating)",
    ("sagas", "input_hash"): "SagaStarted",
    ("sagas", "run_id"): "Saga(Started|TakenOver)",
    ("sagas", "cause"): "SagaCompensating",
    ("sagas", "cause_reason"): "SagaCompensating",
    ("resources", "changed_by"): "Resource(Created|Updated|Replaced|Deleted)",
    ("saga_steps", "epoch"): "Step(Committed|Started)",
    ("saga_steps", "result"): "Step(Committed|Done)",
    ("authorizations", "reason"): "Authorization(Denied|Rejected|Expired|Voided|Compensated)",
    ("authorizations", "amount_minor"): "Authorization(Requested|Reduced)",
}
# The columns of each table. Of what a resource that is absent had, the row says nothing.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "agents": ("agent_id", "user"),
    "policies": (
        *("agent_id", "currency", "max_per_transaction_minor", "daily_limit_minor"),
        *("approval_threshold_minor", "time_zone"),
    ),
    "authorizations": (
        *("authorization_id", "saga_id", "agent_id", "amount_minor", "currency", "destination"),
        *("description", "requested_at", "policy_version", "expires_at", "binding", "reason"),
        *("transfer_id", "provider_reference"),
    ),
    "transfers": (
        *("transfer_id", "authorization_id", "saga_id", "adapter", "key", "amount_minor"),
        *("currency", "destination", "reference", "reason"),
    ),
    "sagas": (
        *("kind", "operation_id", "input_hash", "input", "namespace", "namespace_id"),
        *("task_queue", "workflow_id", "run_id", "epoch", "cause", "cause_reason", "result"),
        *("started_at", "ended_at"),
    ),
    "saga_steps": (
        *("saga_id", "name", "ordinal", "epoch", "activity", "input_hash", "undo", "facts"),
        *("deadline", "result"),
    ),
    "resources": (*("environment", "name", "kind", "spec", "depends_on", "outputs", "changed_by"),),
}
TIMES = ("requested_at", "expires_at", "started_at", "ended_at", "deadline")
_UNTOLD = {"epoch": "'1'", "spec": "NULL", "depends_on": "'[]'", "outputs": "'{}'"}
# The state behind each event that tells of one; the others leave it.
STATES: Mapping[str, Mapping[str, str]] = {
    "agents": {"AgentRegistered": "active", "AgentRevoked": "revoked"},
    "authorizations": {
        "AuthorizationRequested": "pending_approval",
        "AuthorizationCaptureStarted": "capturing",
        **{
            f"Authorization{end.capitalize()}": end
            for end in (
                *("denied", "approved", "captured", "rejected", "expired", "voided"),
                "compensated",
            )
        },
    },
    "transfers": {
        f"Transfer{end.capitalize()}": end
        for end in ("started", "executed", "refused", "cancelled", "reversed", "arrived")
    },
    "saga_steps": {
        "StepCommitted": "done",
        "StepLeftUnknown": "unknown",
        **{
            f"Step{end.capitalize()}": end
            for end in ("started", "done", "refused", "failed", "undone", "skipped")
        },
    },
    "sagas": {
        "SagaStarted": "running",
        **{f"Saga{end.capitalize()}": end for end in ("compensating", "completed")},
        **{f"Saga{end.capitalize()}": end for end in ("compensated", "failed")},
    },
    "resources": {
        "ResourceDeleted": "absent",
        **{f"Resource{how}": "present" for how in ("Created", "Updated", "Replaced")},
    },
}


def law_of(table: str) -> str:
    """The sentence about a table."""
    return f"each row of {table} says what the events say"


def _queries(table: str) -> Iterator[str]:
    """Of each column, the rows that say something else than the last event that tells of it."""
    for column in COLUMNS[table]:
        key = _OTHERWISE.get((table, column), column)
        # The last event that has such a field, also where the field is null.
        tells = f"payload ? '{key}' AND event_type ~ '^{_ONLY.get((table, column), '.*')}$'"
        told = f"nullif(e.payload -> '{key}', 'null')"
        if table == "resources" and column in _UNTOLD:
            # Of what is absent there is none: the last event has no such field.
            tells = "event_type ~ '^Resource(Created|Updated|Replaced|Deleted)$'"
        yield _differing(table, column, tells, told, _UNTOLD.get(column, "NULL"))
    if table in STATES:
        pairs = ", ".join(f"'{event}', '{state}'" for event, state in STATES[table].items())
        states = f"jsonb_build_object({pairs})"
        untold = "'\"absent\"'" if table == "resources" else "NULL"
        yield _differing(
            table, "state", f"{states} ? event_type", f"{states} -> event_type", untold
        )
    yield _differing(table, "head_at", "true", 'to_jsonb(e."timestamp")', "NULL")


def _differing(table: str, column: str, tells: str, told: str, untold: str) -> str:
    is_told, says = f"coalesce(told.value, {untold}::jsonb)", f'to_jsonb(r."{column}")'
    if column in TIMES:
        is_told, says = "(told.value #>> '{}')::timestamptz", f"r.{column}"
    return f"""
        SELECT r.aggregate, '{column}' FROM ledger.{table} AS r
        LEFT JOIN LATERAL (
            SELECT {told} AS value FROM ledger.event_log AS e
            WHERE e.aggregate_id = r.aggregate_id AND {tells}
            ORDER BY version DESC LIMIT 1) AS told ON true
        WHERE {says} IS DISTINCT FROM {is_told}"""


CONTENTS = {law_of(table): " UNION ALL ".join(_queries(table)) for table in COLUMNS}
