-- Programs that may ask for payments.
CREATE TABLE ledger.agents (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    agent_id       text NOT NULL,
    "user"         text NOT NULL,
    state          text NOT NULL CHECK (state IN ('active', 'revoked')),
    PRIMARY KEY (aggregate_id)
);
