-- At commit: a state row that was written has exactly the events that lead to it, and does not come
-- too late for the past, which is closed up to the latest row.
CREATE OR REPLACE FUNCTION ledger.require_events() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The key (aggregate_id, version, timestamp) keeps out two events of one version: so as many
    -- as there are versions are all of them.
    events bigint := ledger.count_events(
        NEW.aggregate_id, NEW.head_at, NEW.xid, NEW.base, NEW.version);
BEGIN
    IF events <> NEW.version - NEW.base THEN
        RAISE EXCEPTION '% went from version % to % with % matching events: no state without event',
            NEW.aggregate, NEW.base, NEW.version, events USING ERRCODE = 'ZA004';
    END IF;
    IF clock_timestamp() - NEW.head_at > ledger.late_after() THEN
        RAISE EXCEPTION '% of % commits more than % after its time: the past is closed, try again',
            NEW.aggregate, NEW.head_at, ledger.late_after() USING ERRCODE = 'ZA006';
    END IF;
    IF NEW.head_at <= (SELECT max(until) FROM ledger.closed_past) THEN
        RAISE EXCEPTION '% at % is in a past that was answered for: the clock was set back; set it right, or wait',
            NEW.aggregate, NEW.head_at USING ERRCODE = 'ZA007';
    END IF;
    RETURN NULL;
END
$$;
