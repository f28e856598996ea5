-- What an environment holds, and which change made it so.
CREATE TABLE ledger.resources (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    environment    text NOT NULL,
    name           text NOT NULL,
    kind           text NOT NULL,
    state          text NOT NULL CHECK (state IN ('absent', 'present')),
    spec           jsonb,
    depends_on     jsonb NOT NULL,
    outputs        jsonb NOT NULL,
    claimed_by     text,
    changed_by     text,
    PRIMARY KEY (aggregate_id)
);
CREATE INDEX resources_kind ON ledger.resources (environment, kind, name);
