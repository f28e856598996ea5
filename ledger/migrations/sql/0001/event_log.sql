-- The log of everything: append-only, partitioned by month of `timestamp`.
CREATE TABLE ledger.event_log (
    position       bigint GENERATED ALWAYS AS IDENTITY,
    -- Nobody may name it: see grants.sql. Forged by an owner, it is refused by require_row.
    xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    event_id       uuid NOT NULL,
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL CHECK (version > 0),
    event_type     text NOT NULL,
    schema_version integer NOT NULL CHECK (schema_version > 0),
    "timestamp"    timestamptz NOT NULL,
    user_id        text NOT NULL CHECK (user_id ~ '^(user|agent|system):.+$'),
    saga_id        text,
    step           text,
    payload        jsonb NOT NULL,
    metadata       jsonb NOT NULL,
    hash           bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (aggregate_id, version, "timestamp")
) PARTITION BY RANGE ("timestamp");

-- The order of the log: see docs/decisions/009.
CREATE INDEX event_log_order ON ledger.event_log (xid, position);
-- A few bytes per 64 pages: finds a stretch of positions or of time, at next to no cost per event.
CREATE INDEX event_log_stretches ON ledger.event_log USING brin (position, "timestamp")
    WITH (pages_per_range = 64, autosummarize = on);
CREATE INDEX event_log_saga ON ledger.event_log (saga_id, position) WHERE saga_id IS NOT NULL;
