-- Least privilege. The worker appends and moves state rows forward; the auditor reads.
REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO amends_worker, amends_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO amends_worker, amends_auditor;
-- Not position and xid: COPY walks past GENERATED ALWAYS.
GRANT INSERT (event_id, aggregate_id, aggregate, version, event_type, schema_version, "timestamp",
    user_id, saga_id, step, payload, metadata, hash) ON ledger.event_log TO amends_worker;
GRANT INSERT, UPDATE ON ledger.sagas, ledger.saga_steps, ledger.authorizations, ledger.transfers,
    ledger.agents, ledger.policies, ledger.resources, ledger.spend_windows TO amends_worker;
-- A cache: a wrong snapshot is written over.
GRANT INSERT, UPDATE ON ledger.snapshots TO amends_worker;
GRANT EXECUTE ON FUNCTION ledger.create_partitions(integer) TO amends_worker;
GRANT EXECUTE ON FUNCTION ledger.event_hash(text, bytea, text, timestamptz, text) TO amends_worker;
GRANT EXECUTE ON FUNCTION ledger.require_unmoved(bigint, integer) TO amends_worker;
GRANT EXECUTE ON FUNCTION ledger.count_events(uuid, timestamptz, xid8, integer, integer)
    TO amends_worker;
GRANT EXECUTE ON FUNCTION ledger.late_after() TO amends_worker, amends_auditor;
GRANT EXECUTE ON FUNCTION ledger.record_incarnation() TO amends_worker;
GRANT EXECUTE ON FUNCTION ledger.close_past(timestamptz) TO amends_worker, amends_auditor;

-- After the grants, as all that come later: a partition is read through the log, and by nobody else.
SELECT ledger.create_partitions(3);
