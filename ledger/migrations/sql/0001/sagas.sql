-- The claim of an operation id, for ever, and where the saga stands.
CREATE TABLE ledger.sagas (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    kind           text NOT NULL,
    operation_id   text NOT NULL,
    state          text NOT NULL
        CHECK (state IN ('running', 'compensating', 'completed', 'compensated', 'failed')),
    epoch          integer NOT NULL CHECK (epoch > 0),
    input_hash     text NOT NULL,
    input          jsonb NOT NULL,
    namespace      text NOT NULL,
    namespace_id   text NOT NULL,
    task_queue     text NOT NULL,
    workflow_id    text NOT NULL,
    run_id         text NOT NULL,
    lost           text,
    cause          text,
    cause_reason   text,
    result         jsonb,
    started_at     timestamptz NOT NULL,
    ended_at       timestamptz,
    last_repeat    text,
    PRIMARY KEY (kind, operation_id)
);
CREATE UNIQUE INDEX sagas_aggregate_id ON ledger.sagas (aggregate_id);
CREATE INDEX sagas_started ON ledger.sagas (started_at);
CREATE INDEX sagas_open ON ledger.sagas (started_at) WHERE ended_at IS NULL;
