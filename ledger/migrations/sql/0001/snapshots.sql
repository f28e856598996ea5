-- A cache beside the log, never the truth: the state of a long aggregate after one of its events.
-- It holds where that event has this hash and the fold is still the one that made it.
CREATE TABLE ledger.snapshots (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    "timestamp"    timestamptz NOT NULL,
    hash           bytea NOT NULL,
    fold           text NOT NULL,
    state          jsonb NOT NULL,
    made_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (aggregate_id, version)
);

-- The events after which a snapshot is due: one in 200, so that writing the others costs nothing.
CREATE INDEX event_log_milestones ON ledger.event_log (aggregate_id, version)
    WHERE version % 200 = 0;
