-- Bounds every column of every table by the type of its values, a CHECK for each type and table. What
-- a reader can't represent never gets in: an infinite time, a year that has no four digits in every
-- zone, a number that JSON loses digits of, JSON that is no object, too large or too deep. All limits
-- are far above what is written. (Plain expressions: a function in a CHECK is planned with every
-- statement. No BETWEEN: after a dump and restore its text would differ.)

-- These said a part of it.
ALTER TABLE ledger.policies
    DROP CONSTRAINT policies_max_per_transaction_minor_check,
    DROP CONSTRAINT policies_daily_limit_minor_check,
    DROP CONSTRAINT policies_approval_threshold_minor_check;
ALTER TABLE ledger.spend_windows
    DROP CONSTRAINT spend_windows_amount_minor_check,
    DROP CONSTRAINT spend_windows_count_check;
ALTER TABLE ledger.event_log DROP CONSTRAINT event_log_hash_check;

-- Adds a CHECK, or names a row that breaks it. Gone at the end of this migration.
CREATE FUNCTION ledger.add_bound(relation text, bound text, condition text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    offender text;
BEGIN
    EXECUTE format('ALTER TABLE ledger.%I ADD CONSTRAINT %I CHECK (%s)', relation, bound, condition);
EXCEPTION WHEN check_violation THEN
    EXECUTE format('SELECT left(to_json(%s)::text, 200) FROM ledger.%I WHERE NOT (%s) LIMIT 1',
        CASE relation
            WHEN 'spend_windows' THEN $c$concat_ws('/', agent_id, currency, period, starts_on)$c$
            WHEN 'incarnations' THEN 'incarnation'
            ELSE 'aggregate' END,
        relation, condition) INTO offender;
    RAISE EXCEPTION 'ledger.% has a row that % does not allow: %; set it right as a superuser, or restore a backup, and migrate again', relation, bound, offender
        USING ERRCODE = 'ZA011';
END
$$;

DO $$
DECLARE
    bound record;
BEGIN
    FOR bound IN
        SELECT relname, kind, string_agg(format(condition, attname,
                CASE WHEN attname IN ('reserved', 'depends_on') THEN 'array' ELSE 'object' END),
                ' AND ' ORDER BY attnum) AS all_of
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        JOIN (VALUES
            ('timestamptz'::regtype, NULL::boolean, 'moments',
                $c$%1$I >= '0001-01-02 00:00+00' AND %1$I <= '9999-12-30 00:00+00'$c$),
            ('date', NULL, 'dates', $c$%1$I >= '0001-01-02' AND %1$I <= '9999-12-30'$c$),
            ('integer', NULL, 'numbers', '%1$I >= 0'),
            ('bigint', NULL, 'numbers', '%1$I >= 0 AND %1$I <= 9007199254740991'),
            ('bytea', NULL, 'hashes', 'length(%1$I) = 32'),
            -- Names are needed and have no control characters; prose may be missing and have any.
            ('text', true, 'texts',
                $c$length(%1$I) <= 1000 AND %1$I !~ '[\u0001-\u001F\u007F]'$c$),
            ('text', false, 'texts', 'length(%1$I) <= 65536'),
            ('jsonb', NULL, 'json', $c$
                jsonb_typeof(%1$I) = %2$L
                AND octet_length(%1$I::text) <= 4194304
                AND NOT jsonb_path_exists(%1$I, 'strict $.**{129}')
                AND NOT jsonb_path_exists(%1$I, 'strict $.** ? (@ > 1e308 || @ < -1e308)')$c$)
        ) AS known (type, is_needed, kind, condition)
            ON type = atttypid AND attnotnull = coalesce(is_needed, attnotnull)
        WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
            AND attnum > 0 AND NOT attisdropped
            -- Before anybody answered for it, the past is closed up to minus infinity.
            AND relname NOT IN ('alembic_version', 'closed_past')
            -- PostgreSQL's own, a number of 64 bits.
            AND attname <> 'system_identifier'
        GROUP BY relname, kind
    LOOP
        PERFORM ledger.add_bound(bound.relname::text, bound.relname || '_' || bound.kind, bound.all_of);
    END LOOP;
END
$$;

ALTER TABLE ledger.closed_past ADD CONSTRAINT closed_past_moments
    CHECK (until = '-infinity' OR until BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00');
SELECT ledger.add_bound('authorizations', 'authorizations_currency_check',
    $c$currency ~ '^[A-Z]{3}$'$c$);
SELECT ledger.add_bound('policies', 'policies_time_zone_check', $c$time_zone ~ '^[A-Za-z0-9_+/-]+$'$c$);
-- What says where an event was written: blame and clients read it.
SELECT ledger.add_bound('event_log', 'event_log_metadata_check', $c$
    octet_length(metadata::text) <= 65536
    AND coalesce(jsonb_typeof(metadata -> 'workflow_id'), 'string') = 'string'
    AND coalesce(jsonb_typeof(metadata -> 'run_id'), 'string') = 'string'
    AND coalesce(jsonb_typeof(metadata -> 'activity'), 'string') = 'string'
    AND coalesce(jsonb_typeof(metadata -> 'attempt'), 'number') = 'number'
    AND coalesce(jsonb_typeof(metadata -> 'context'), 'object') = 'object'$c$);
