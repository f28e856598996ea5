-- Ends a commit that did not find all rows as it had read them: another was quicker. It is retried.
CREATE FUNCTION ledger.require_unmoved(unmoved bigint, wanted integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF unmoved <> wanted THEN
        RAISE EXCEPTION '% of % rows are as they were read: another commit was quicker',
            unmoved, wanted USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;
