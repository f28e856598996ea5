-- The rules, put in force.
CREATE CONSTRAINT TRIGGER require_row AFTER INSERT ON ledger.event_log
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.require_row();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON ledger.event_log
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.event_log
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

CALL ledger.guard_state_table('sagas', 'saga');
CALL ledger.guard_state_table('saga_steps', 'step');
CALL ledger.guard_state_table('authorizations', 'authorization');
CALL ledger.guard_state_table('transfers', 'transfer');
CALL ledger.guard_state_table('agents', 'agent');
CALL ledger.guard_state_table('policies', 'policy');
CALL ledger.guard_state_table('resources', 'resource');

CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON ledger.spend_windows
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON ledger.closed_past
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.incarnations
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
