-- At commit: an event that was written belongs to a state row written by the same transaction. As
-- before, with the table of refunds.
CREATE OR REPLACE FUNCTION ledger.require_row() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head record;
BEGIN
    -- Written out: one query by a name that is put together would be planned for every event.
    CASE split_part(NEW.aggregate, '/', 1)
        WHEN 'saga' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.sagas WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'step' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.saga_steps WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'authorization' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.authorizations WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'transfer' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.transfers WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'refund' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.refunds WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'agent' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.agents WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'policy' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.policies WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'mandate' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.mandates WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'key' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.keys WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'statement' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.statements WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'case' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.cases WHERE aggregate_id = NEW.aggregate_id;
        WHEN 'resource' THEN SELECT aggregate, version, base, head_at, xid INTO head
            FROM ledger.resources WHERE aggregate_id = NEW.aggregate_id;
        ELSE RAISE EXCEPTION 'no state table for the noun of %', NEW.aggregate USING ERRCODE = 'ZA001';
    END CASE;
    IF head IS NULL OR head.aggregate <> NEW.aggregate OR head.xid <> NEW.xid
            OR head.head_at <> NEW."timestamp"
            OR NEW.version <= head.base OR NEW.version > head.version THEN
        RAISE EXCEPTION '% version % of % has no state row of this transaction: no event without state',
            NEW.event_type, NEW.version, NEW.aggregate USING ERRCODE = 'ZA005';
    END IF;
    RETURN NULL;
END
$$;
