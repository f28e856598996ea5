-- Money that moved after its payment was undone: a state of the transfer, and a kind of case.
ALTER TABLE ledger.transfers
    DROP CONSTRAINT transfers_state_check,
    ADD CONSTRAINT transfers_state_check CHECK (state IN
        ('started', 'executed', 'refused', 'cancelled', 'reversed', 'arrived'));
ALTER TABLE ledger.cases
    DROP CONSTRAINT cases_kind_check,
    ADD CONSTRAINT cases_kind_check CHECK (kind IN
        ('there_not_here', 'here_not_there', 'different', 'twice', 'balance', 'arrived'));
-- What reconciliation asks the provider for again, and the case of what it found.
CREATE INDEX transfers_unmoved ON ledger.transfers (head_at)
    WHERE state IN ('refused', 'cancelled');
CREATE INDEX cases_arrived ON ledger.cases (transfer_id) WHERE kind = 'arrived';
