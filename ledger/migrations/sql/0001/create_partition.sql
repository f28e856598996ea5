-- Makes the partition of the month that contains `day`, if it is not there.
-- A caller may have a time zone of his own that calls itself UTC.
CREATE FUNCTION ledger.create_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' AS $$
DECLARE
    month_start date := date_trunc('month', day)::date;
    month_end   date := (date_trunc('month', day) + interval '1 month')::date;
    name        text := 'event_log_' || to_char(month_start, 'YYYY_MM');
BEGIN
    IF to_regclass(format('ledger.%I', name)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Created apart and then attached: attaching takes a weaker lock on the log.
    EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.event_log INCLUDING ALL EXCLUDING IDENTITY)', name);
    EXECUTE format(
        'ALTER TABLE ledger.event_log ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
        name, month_start::timestamp AT TIME ZONE 'UTC', month_end::timestamp AT TIME ZONE 'UTC');
    -- Triggers against TRUNCATE are not inherited by partitions.
    EXECUTE format(
        'CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', name);
END
$$;
