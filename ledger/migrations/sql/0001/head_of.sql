-- The head of an aggregate, from the state table of its noun. No row: no such aggregate.
CREATE FUNCTION ledger.head_of(noun text, id uuid)
RETURNS TABLE (aggregate text, version integer, base integer, head_at timestamptz, xid xid8)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    CASE noun
        WHEN 'saga' THEN RETURN QUERY
            SELECT aggregate, version, base, head_at, xid FROM ledger.sagas WHERE aggregate_id = id;
        WHEN 'step' THEN RETURN QUERY
            SELECT aggregate, version, base, head_at, xid FROM ledger.saga_steps WHERE aggregate_id = id;
        WHEN 'authorization' THEN RETURN QUERY
            SELECT aggregate, version, base, head_at, xid FROM ledger.authorizations WHERE aggregate_id = id;
        WHEN 'transfer' THEN RETURN QUERY
            SELECT aggregate, version, base, head_at, xid FROM ledger.transfers WHERE aggregate_id = id;
        WHEN 'agent' THEN RETURN QUERY
            SELECT aggregate, version, base, head_at, xid FROM ledger.agents WHERE aggregate_id = id;
        WHEN 'policy' THEN RETURN QUERY
            SELECT aggregate, version, base, head_at, xid FROM ledger.policies WHERE aggregate_id = id;
        WHEN 'resource' THEN RETURN QUERY
            SELECT aggregate, version, base, head_at, xid FROM ledger.resources WHERE aggregate_id = id;
        ELSE RAISE EXCEPTION 'no state table for the noun "%"', noun USING ERRCODE = 'ZA001';
    END CASE;
END
$$;
