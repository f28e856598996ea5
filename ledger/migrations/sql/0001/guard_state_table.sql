-- Puts the rules on the state table of a noun. Every state table with a head needs them.
CREATE PROCEDURE ledger.guard_state_table(name text, noun text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER stamp_row BEFORE INSERT OR UPDATE ON ledger.%I '
        'FOR EACH ROW EXECUTE FUNCTION ledger.stamp_row(%L)', name, noun);
    EXECUTE format(
        'CREATE CONSTRAINT TRIGGER require_events AFTER INSERT OR UPDATE ON ledger.%I '
        'DEFERRABLE INITIALLY DEFERRED '
        'FOR EACH ROW EXECUTE FUNCTION ledger.require_events()', name);
    EXECUTE format(
        'CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON ledger.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', name);
END
$$;
