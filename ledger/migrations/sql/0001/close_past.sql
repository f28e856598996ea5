-- Closes the past up to a moment, for whoever will answer for it. Returns NULL when that is done,
-- else how long it takes until no honest commit can be late for that moment.
CREATE FUNCTION ledger.close_past(moment timestamptz) RETURNS interval
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    too_early interval := moment + ledger.late_after() - clock_timestamp();
BEGIN
    IF too_early >= interval '0' THEN
        RETURN too_early;
    END IF;
    UPDATE ledger.closed_past SET until = moment WHERE until < moment;
    RETURN NULL;
END
$$;
