"""Laws of the record itself: the events in their order, and the ends of sagas and steps."""

_STATES = " UNION ALL ".join(
    f"SELECT aggregate_id, version, head_hash FROM ledger.{table}"
    for table in (
        *("sagas", "saga_steps", "authorizations", "transfers", "agents", "policies", "resources"),
    )
)
# What a saga may have on record behind its end: that somebody asked or tried again.
_AFTERWARDS = "'SagaDuplicateReceived', 'SagaReuseRefused', 'SagaCommitRefused'"
_ENDS = "'SagaCompleted', 'SagaCompensated', 'SagaFailed'"
# What may be told of one aggregate in one saga more than once.
_TOLD_AGAIN = f"""{_AFTERWARDS}, 'ResourceChangeStarted', 'SagaTakenOver', 'SagaLost',
    'SagaCompensating', 'SagaRunClosed', 'SagaRunPaused', 'SagaRunResumed'"""

RECORD = {
    "the versions of an aggregate are 1 to n, and its positions ascend with them": """
        SELECT aggregate FROM (
            SELECT aggregate, version, row_number() OVER (
                PARTITION BY aggregate_id ORDER BY position) AS place
            FROM ledger.event_log) AS placed
        WHERE version <> place GROUP BY aggregate""",
    "each aggregate has a state row": f"""
        SELECT DISTINCT aggregate FROM ledger.event_log
        WHERE aggregate_id NOT IN (SELECT aggregate_id FROM ({_STATES}) AS rows)""",
    "each state row has the version and the hash of the last event of its aggregate": f"""
        SELECT coalesce(last.aggregate, rows.aggregate_id::text) FROM ({_STATES}) AS rows
        LEFT JOIN (
            SELECT DISTINCT ON (aggregate_id) aggregate_id, aggregate, version, hash
            FROM ledger.event_log ORDER BY aggregate_id, version DESC) AS last
        USING (aggregate_id)
        WHERE (last.version, last.hash) IS DISTINCT FROM (rows.version, rows.head_hash)""",
    "each event is of a saga that is on record": """
        SELECT aggregate, version FROM ledger.event_log AS e
        WHERE NOT EXISTS (SELECT FROM ledger.sagas AS s WHERE s.workflow_id = e.saga_id)""",
    "each event happened within the run": """
        SELECT aggregate, version FROM ledger.event_log, run
        WHERE timestamp NOT BETWEEN began AND ended""",
    "the times of the events of an aggregate ascend": """
        SELECT aggregate, version FROM (
            SELECT aggregate, version, timestamp, lag(timestamp) OVER (
                PARTITION BY aggregate_id ORDER BY version) AS before
            FROM ledger.event_log) AS placed
        WHERE timestamp < before""",
    "a saga began before it ended, and both within the run": """
        SELECT workflow_id FROM ledger.sagas, run
        WHERE NOT (began <= started_at AND started_at <= ended_at AND ended_at <= ended)""",
    "every saga has ended": """
        SELECT workflow_id, state FROM ledger.sagas
        WHERE state NOT IN ('completed', 'compensated', 'failed') OR ended_at IS NULL""",
    "a saga has one event that ends it, as its state says": f"""
        SELECT workflow_id FROM ledger.sagas AS s
        WHERE 1 <> (SELECT count(*) FROM ledger.event_log AS e
                    WHERE e.aggregate_id = s.aggregate_id AND event_type IN ({_ENDS}))
           OR NOT EXISTS (SELECT FROM ledger.event_log AS e
                          WHERE e.aggregate_id = s.aggregate_id
                            AND lower(substr(event_type, 5)) = s.state)""",
    # What a commit tells beside the end stands in it.
    "nothing happens in a saga behind its end": f"""
        SELECT e.saga_id, e.event_type FROM ledger.event_log AS e
        JOIN ledger.event_log AS ended ON ended.saga_id = e.saga_id
        WHERE ended.event_type IN ({_ENDS}) AND e.position > ended.position
          AND e.xid <> ended.xid AND e.event_type NOT IN ({_AFTERWARDS})""",
    "nothing is told twice in a saga": f"""
        SELECT aggregate, event_type, count(*) FROM ledger.event_log
        WHERE event_type NOT IN ({_TOLD_AGAIN})
        GROUP BY saga_id, aggregate, event_type HAVING count(*) > 1""",
    "no step is without an outcome": """
        SELECT saga_id, name FROM ledger.saga_steps WHERE state IN ('started', 'unknown')""",
    "a saga that was undone leaves no step standing": """
        SELECT t.saga_id, t.name FROM ledger.saga_steps AS t
        JOIN ledger.sagas AS s ON s.workflow_id = t.saga_id
        WHERE s.state IN ('compensated', 'failed') AND t.state = 'done' AND t.undo IS NOT NULL""",
    "a saga that completed has no step that was undone or failed": """
        SELECT t.saga_id, t.name FROM ledger.saga_steps AS t
        JOIN ledger.sagas AS s ON s.workflow_id = t.saga_id
        WHERE s.state = 'completed' AND t.state IN ('undone', 'failed')""",
    "where a saga has ended nobody is waited for, and nobody asked": """
        SELECT workflow_id FROM ledger.sagas
        WHERE num_nonnulls(waits_for, waits_on, waits_since, waits_until) > 0
        UNION ALL SELECT aggregate FROM ledger.saga_steps
        WHERE num_nonnulls(attention, delayed, looked_up_until) > 0""",
    "the steps of a saga are numbered from 1, without a gap": """
        SELECT saga_id FROM ledger.saga_steps GROUP BY saga_id
        HAVING (min(ordinal), max(ordinal), count(DISTINCT ordinal)) <> (1, count(*), count(*))""",
}
