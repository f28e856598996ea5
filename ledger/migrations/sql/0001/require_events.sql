-- At commit: a state row that was written has exactly the events that lead to it.
CREATE FUNCTION ledger.require_events() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found record;
BEGIN
    SELECT count(*) AS events, min(version) AS first, max(version) AS last INTO found
    FROM ledger.event_log
    WHERE aggregate_id = NEW.aggregate_id AND "timestamp" = NEW.head_at
        AND version > NEW.base AND xid = NEW.xid;
    -- The key (aggregate_id, version, timestamp) keeps out two events of one version.
    IF found.events <> NEW.version - NEW.base
            OR found.first <> NEW.base + 1 OR found.last <> NEW.version THEN
        RAISE EXCEPTION '% went from version % to % with % matching events: no state without event',
            NEW.aggregate, NEW.base, NEW.version, found.events USING ERRCODE = 'ZA004';
    END IF;
    RETURN NULL;
END
$$;
