-- Parts of names: with a slash in one of them, one name could be made of other parts. What Temporal
-- gets of a saga has the form of its requests: the ids of all its runs are within Temporal's limit.
SELECT ledger.add_bound('sagas', 'sagas_identity_check', $c$
    kind ~ '^[a-z]{1,64}$' AND operation_id ~ '^[A-Za-z0-9._-]{1,64}$'
    AND namespace_id ~ '^[A-Za-z0-9-]{1,64}$' AND length(namespace) <= 255$c$);
SELECT ledger.add_bound('saga_steps', 'saga_steps_identity_check', $c$saga_id ~ '^[^/]+/[^/]+$'$c$);
SELECT ledger.add_bound('resources', 'resources_identity_check', $c$environment !~ '/'$c$);
-- The id of an event is made of its aggregate's and its version: the first 24 digits are those of the
-- aggregate_id, but for the version of the UUID (8), and the last eight are the version of the event.
-- So it is unique where (aggregate_id, version) is, and nobody chooses it.
DO $$
BEGIN
    ALTER TABLE ledger.event_log ADD CONSTRAINT event_log_event_id_check CHECK (
        event_id = overlay(overlay(aggregate_id::text PLACING '8' FROM 15 FOR 1)
            PLACING lpad(to_hex(version), 8, '0') FROM 29 FOR 8)::uuid);
EXCEPTION WHEN check_violation THEN
    RAISE EXCEPTION 'this ledger has events of a build before 0.1.0, with random ids: begin a new one'
        USING ERRCODE = 'ZA011';
END
$$;
