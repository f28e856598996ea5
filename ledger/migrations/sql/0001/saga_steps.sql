-- A step of a saga: its input, its undo, its outcome.
CREATE TABLE ledger.saga_steps (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    saga_id        text NOT NULL,
    name           text NOT NULL,
    ordinal        integer NOT NULL,
    epoch          integer NOT NULL,
    activity       text NOT NULL,
    input_hash     text NOT NULL,
    undo           jsonb,
    state          text NOT NULL
        CHECK (state IN ('started', 'done', 'refused', 'failed', 'undone')),
    deadline       timestamptz,
    facts          jsonb,
    result         jsonb,
    reason         text,
    residual       text,
    PRIMARY KEY (aggregate_id)
);
CREATE INDEX saga_steps_saga ON ledger.saga_steps (saga_id, ordinal);
