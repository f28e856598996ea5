-- What an agent may spend, in minor units.
CREATE TABLE ledger.policies (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    agent_id                  text NOT NULL,
    currency                  text NOT NULL,
    max_per_transaction_minor bigint NOT NULL CHECK (max_per_transaction_minor >= 0),
    daily_limit_minor         bigint NOT NULL CHECK (daily_limit_minor >= 0),
    approval_threshold_minor  bigint NOT NULL CHECK (approval_threshold_minor >= 0),
    time_zone                 text NOT NULL,
    PRIMARY KEY (aggregate_id)
);
