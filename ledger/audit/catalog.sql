-- Every object of the schema: its name, the table it belongs to, and the digest of all of its
-- definition that the rules depend on, with * for the month of a partition, as partitions are alike.
-- (Other indexes than unique ones make nothing true or false, nor do storage parameters and the
-- invalid copy that REINDEX CONCURRENTLY makes or leaves.)
WITH relation AS (
    SELECT oid, relname AS name, relkind, relowner::regrole::text AS owner,
        -- One text for no grant, and for those of the owner to itself.
        coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
            AS acl,
        concat_ws(' ', relpersistence, relrowsecurity, relforcerowsecurity, relispartition,
            pg_get_partkeydef(oid),
            (SELECT string_agg(inhparent::regclass::text, ' ') FROM pg_inherits
             WHERE inhrelid = pg_class.oid)) AS definition
    FROM pg_class
    WHERE relnamespace = 'ledger'::regnamespace AND relkind NOT IN ('i', 'I', 'c')
), object AS (
    SELECT 'schema ' || nspname AS name, NULL AS table, nspowner::regrole::text AS owner,
        nspacl AS acl, '' AS definition
    FROM pg_namespace WHERE nspname = 'ledger'
    UNION ALL
    SELECT CASE relkind WHEN 'S' THEN 'sequence ' WHEN 'r' THEN 'table ' WHEN 'p' THEN 'table '
        ELSE 'relation ' END || name, name, owner, acl, definition
    FROM relation
    UNION ALL
    SELECT format('column %s.%s', name, attname), name, NULL, attacl,
        concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
            (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
             WHERE adrelid = attrelid AND adnum = attnum))
    FROM relation JOIN pg_attribute ON attrelid = relation.oid
    WHERE attnum > 0 AND NOT attisdropped AND relkind <> 'S'
    UNION ALL
    SELECT format('constraint %s of %s', conname, name), name, NULL, NULL,
        concat_ws(' ', pg_get_constraintdef(pg_constraint.oid), convalidated, conenforced)
    FROM relation JOIN pg_constraint ON conrelid = relation.oid AND contype <> 't'
    UNION ALL
    SELECT format('index %s of %s', indexrelid::regclass, name), name, NULL, NULL,
        concat_ws(' ', regexp_replace(pg_get_indexdef(indexrelid), ' WITH \([^)]*\)', ''), indisvalid)
    FROM relation JOIN pg_index ON indrelid = relation.oid AND indisunique
    WHERE indisvalid OR indexrelid::regclass::text !~ '_cc(new|old)\d*$'
    UNION ALL
    SELECT format('trigger %s of %s', tgname, name), name, NULL, NULL,
        concat_ws(' ', pg_get_triggerdef(pg_trigger.oid), tgenabled)
    FROM relation JOIN pg_trigger ON tgrelid = relation.oid AND NOT tgisinternal
    UNION ALL
    SELECT format('rule %s of %s', rulename, name), name, NULL, NULL, pg_get_ruledef(pg_rewrite.oid)
    FROM relation JOIN pg_rewrite ON ev_class = relation.oid
    UNION ALL
    SELECT format('policy %s of %s', polname, name), name, NULL, NULL, polcmd::text
    FROM relation JOIN pg_policy ON polrelid = relation.oid
    UNION ALL
    SELECT 'function ' || oid::regprocedure, NULL, proowner::regrole::text, proacl,
        pg_get_functiondef(oid)
    FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace AND prokind <> 'a'
    UNION ALL
    SELECT 'role ' || rolname, NULL, NULL, NULL,
        concat_ws(' ', rolsuper, rolcreaterole, rolreplication, rolbypassrls,
            (SELECT string_agg(other, ' ' ORDER BY other)
             FROM unnest(ARRAY['amends_owner', 'amends_worker', 'amends_auditor']) AS other
             WHERE pg_has_role(pg_roles.oid, other, 'MEMBER')))
    FROM pg_roles WHERE rolname IN ('amends_worker', 'amends_auditor')
    UNION ALL
    -- Set for a role or the database, it switches off the triggers of every session.
    SELECT format('setting %s of %s', setting,
            CASE setrole WHEN 0 THEN 'all' ELSE setrole::regrole::text END), NULL, NULL,
        NULL, ''
    FROM pg_db_role_setting, unnest(setconfig) AS setting
    WHERE setting LIKE 'session_replication_role=%'
        AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
)
SELECT name, "table",
    left(encode(sha256(convert_to(regexp_replace(concat_ws(' | ', owner,
        (SELECT string_agg(item::text, ' ' ORDER BY item::text) FROM unnest(acl) AS item),
        definition), '(?<=event_log_)\d{4}_\d\d', '*', 'g'), 'UTF8')), 'hex'), 16) AS digest,
    name LIKE 'table %' AND definition LIKE '% ledger.event_log' AS is_partition
FROM object ORDER BY name
