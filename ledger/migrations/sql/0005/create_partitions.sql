-- Makes the partitions of this month and of the `ahead` months after it, and has a commit read the
-- one of its month. The worker calls it.
CREATE OR REPLACE FUNCTION ledger.create_partitions(ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
BEGIN
    IF ahead NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'between 0 and 24 months ahead, not %', ahead USING ERRCODE = 'ZA010';
    END IF;
    LOCK TABLE ledger.maintenance IN EXCLUSIVE MODE;
    FOR month IN 0 .. ahead LOOP
        PERFORM ledger.create_partition(
            ((now() AT TIME ZONE 'UTC') + make_interval(months => month))::date);
    END LOOP;
    PERFORM ledger.write_count_events();
END
$$;
