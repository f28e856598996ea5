-- Closes the past up to a moment, for whoever will answer for it. Returns NULL when that is done,
-- else how long it takes until no honest commit can be late for that moment. Whoever closes it
-- further moves a row that nobody holds, or adds one: so no open transaction keeps others waiting.
CREATE OR REPLACE FUNCTION ledger.close_past(moment timestamptz) RETURNS interval
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    too_early interval := moment + ledger.late_after() - clock_timestamp();
BEGIN
    IF too_early >= interval '0' THEN
        RETURN too_early;
    END IF;
    UPDATE ledger.closed_past SET until = moment WHERE ctid = (
        SELECT ctid FROM ledger.closed_past WHERE until < moment
        ORDER BY until LIMIT 1 FOR UPDATE SKIP LOCKED);
    IF NOT FOUND AND NOT EXISTS (SELECT FROM ledger.closed_past WHERE until >= moment) THEN
        INSERT INTO ledger.closed_past (until) VALUES (moment);
    END IF;
    RETURN NULL;
END
$$;
