-- Money of captured payments that goes back, or was asked to.
CREATE TABLE ledger.refunds (
    aggregate_id     uuid NOT NULL,
    aggregate        text NOT NULL,
    version          integer NOT NULL,
    base             integer NOT NULL,
    head_at          timestamptz NOT NULL,
    head_hash        bytea NOT NULL,
    xid              xid8 NOT NULL,
    refund_id        text NOT NULL,
    saga_id          text NOT NULL,
    payment          text NOT NULL,
    authorization_id text NOT NULL,
    transfer_id      text,
    amount_minor     bigint CHECK (amount_minor > 0),
    currency         text,
    adapter          text,
    key              text,
    state            text NOT NULL CHECK (state IN ('requested', 'denied', 'reserved', 'started',
        'executed', 'refused', 'cancelled', 'voided')),
    reference        text,
    reason           text,
    requested_at     timestamptz NOT NULL,
    PRIMARY KEY (aggregate_id),
    -- What has money reserved says of which transfer and how much; what was sent, by whom.
    CONSTRAINT refunds_money_check CHECK (state IN ('requested', 'denied')
        OR num_nulls(transfer_id, amount_minor, currency) = 0),
    CONSTRAINT refunds_sent_check CHECK (state IN ('requested', 'denied', 'reserved', 'voided')
        OR num_nulls(adapter, key) = 0),
    CONSTRAINT refunds_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT refunds_moments CHECK (
        head_at >= '0001-01-02 00:00+00' AND head_at <= '9999-12-30 00:00+00'
        AND requested_at >= '0001-01-02 00:00+00' AND requested_at <= '9999-12-30 00:00+00'),
    CONSTRAINT refunds_numbers CHECK (version >= 0 AND base >= 0
        AND amount_minor <= 9007199254740991),
    CONSTRAINT refunds_hashes CHECK (length(head_hash) = 32),
    CONSTRAINT refunds_names CHECK (
        length(aggregate) <= 1000 AND aggregate !~ '[\u0001-\u001F\u007F]'
        AND length(refund_id) <= 1000 AND refund_id !~ '[\u0001-\u001F\u007F]'
        AND length(saga_id) <= 1000 AND saga_id !~ '[\u0001-\u001F\u007F]'
        AND length(payment) <= 1000 AND payment !~ '[\u0001-\u001F\u007F]'
        AND length(authorization_id) <= 1000 AND authorization_id !~ '[\u0001-\u001F\u007F]'
        AND length(transfer_id) <= 1000 AND transfer_id !~ '[\u0001-\u001F\u007F]'
        AND length(adapter) <= 1000 AND adapter !~ '[\u0001-\u001F\u007F]'
        AND length(key) <= 1000 AND key !~ '[\u0001-\u001F\u007F]'
        AND length(state) <= 1000 AND state !~ '[\u0001-\u001F\u007F]'),
    CONSTRAINT refunds_texts CHECK (length(reference) <= 65536 AND length(reason) <= 65536)
);
CREATE INDEX refunds_by_authorization ON ledger.refunds (authorization_id);
GRANT SELECT ON ledger.refunds TO amends_worker, amends_auditor;
GRANT INSERT, UPDATE ON ledger.refunds TO amends_worker;
CALL ledger.guard_state_table('refunds', 'refund');

-- The bound that no race of refunds gets past: one row has what all of them took. The defaults are
-- for the rows that are there: each write names every column.
ALTER TABLE ledger.transfers
    ADD COLUMN refunding_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT transfers_refunds_check CHECK (refunding_minor >= 0 AND refunded_minor >= 0
        AND refunding_minor + refunded_minor
            <= CASE state WHEN 'executed' THEN amount_minor ELSE 0 END);
ALTER TABLE ledger.transfers
    ALTER COLUMN refunding_minor DROP DEFAULT,
    ALTER COLUMN refunded_minor DROP DEFAULT;
