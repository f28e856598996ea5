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
        CHECK (state IN (
            'started', 'unknown', 'done', 'refused', 'failed', 'undone', 'skipped')),
    deadline       timestamptz,
    facts          jsonb,
    result         jsonb,
    reason         text,
    residual       text,
    tries          integer NOT NULL,
    undo_tries     integer NOT NULL,
    attention      text,
    asked_in       integer NOT NULL,
    PRIMARY KEY (aggregate_id)
);
-- What waits for a person.
CREATE INDEX saga_steps_attention ON ledger.saga_steps (saga_id) WHERE attention IS NOT NULL;
CREATE INDEX saga_steps_saga ON ledger.saga_steps (saga_id, ordinal);
