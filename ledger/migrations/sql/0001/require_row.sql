-- At commit: an event that was written belongs to a state row written by the same transaction.
CREATE FUNCTION ledger.require_row() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head record;
BEGIN
    SELECT * INTO head
    FROM ledger.head_of(split_part(NEW.aggregate, '/', 1), NEW.aggregate_id);
    IF head IS NULL OR head.aggregate <> NEW.aggregate OR head.xid <> NEW.xid
            OR head.head_at <> NEW."timestamp"
            OR NEW.version <= head.base OR NEW.version > head.version THEN
        RAISE EXCEPTION '% version % of % has no state row of this transaction: no event without state',
            NEW.event_type, NEW.version, NEW.aggregate USING ERRCODE = 'ZA005';
    END IF;
    RETURN NULL;
END
$$;
