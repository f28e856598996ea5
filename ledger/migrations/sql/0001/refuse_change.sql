-- Nothing in the log or the state tables is deleted or truncated; no event is changed.
CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of ledger.% is refused: the ledger only grows; write a new event instead',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'ZA002';
END
$$;
