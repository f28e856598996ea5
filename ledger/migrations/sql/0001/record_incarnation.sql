-- Begins a new incarnation where the ledger was restored into another cluster than it was written
-- in; otherwise does nothing. Each connection of a worker calls it before it writes.
CREATE FUNCTION ledger.record_incarnation() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    here bigint := (SELECT system_identifier FROM pg_control_system());
BEGIN
    IF here = (SELECT system_identifier FROM ledger.incarnations ORDER BY incarnation DESC LIMIT 1) THEN
        RETURN;
    END IF;
    -- Nobody writes while the border is drawn, and one draws it.
    LOCK TABLE ledger.event_log IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO ledger.incarnations (system_identifier, restored_position)
    SELECT here, greatest(last.restored_position, (SELECT max(position) FROM ledger.event_log))
    FROM (SELECT * FROM ledger.incarnations ORDER BY incarnation DESC LIMIT 1) AS last
    WHERE last.system_identifier <> here;
END
$$;
