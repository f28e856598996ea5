-- Money that a payment adapter moved, or was asked to move.
CREATE TABLE ledger.transfers (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    transfer_id      text NOT NULL,
    authorization_id text NOT NULL,
    saga_id          text NOT NULL,
    adapter          text NOT NULL,
    key              text NOT NULL,
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    currency         text NOT NULL,
    destination      text NOT NULL,
    state            text NOT NULL
        CHECK (state IN ('started', 'executed', 'refused', 'cancelled', 'reversed')),
    reference        text,
    reason           text,
    PRIMARY KEY (aggregate_id)
);
