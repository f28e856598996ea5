-- Writes `count_events` for this month and the next: how many events, made by one transaction at one
-- moment, lead an aggregate from version `base` to `head`. PL/pgSQL plans a statement when it is
-- first run, and a plan locks all its tables: so a commit locks the partition of its month, not all.
-- In any other month the whole log is counted, which is as right and only slower.
CREATE FUNCTION ledger.write_count_events() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
-- The text is part of the schema, whoever calls.
SET quote_all_identifiers = off AS $$
DECLARE
    -- Not by the name of a zone: a session may call another one UTC.
    today timestamp := now() AT TIME ZONE interval '0';
    body  text := format($body$
BEGIN
    CASE 'event_log_' || to_char(moment AT TIME ZONE interval '0', 'YYYY_MM')
        WHEN %1$L THEN RETURN (SELECT count(*) FROM ledger.%1$I %3$s);
        WHEN %2$L THEN RETURN (SELECT count(*) FROM ledger.%2$I %3$s);
        ELSE RETURN (SELECT count(*) FROM ledger.event_log %3$s);
    END CASE;
END
$body$,
        'event_log_' || to_char(today, 'YYYY_MM'),
        'event_log_' || to_char(today + interval '1 month', 'YYYY_MM'),
        'WHERE aggregate_id = id AND "timestamp" = moment AND xid = writer'
        ' AND version > base AND version <= head');
BEGIN
    -- Only when it differs: every session compiles a new text.
    IF body IS DISTINCT FROM (SELECT prosrc FROM pg_proc WHERE oid = to_regprocedure(
            'ledger.count_events(uuid, timestamptz, xid8, integer, integer)')) THEN
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION ledger.count_events('
            'id uuid, moment timestamptz, writer xid8, base integer, head integer) RETURNS bigint '
            -- As the owner: nobody else may read a partition.
            'LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %L', body);
    END IF;
END
$$;

SELECT ledger.write_count_events();
