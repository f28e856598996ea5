-- The lives of this ledger. After a dump and restore into a new cluster old transaction ids mean
-- nothing there: events up to `restored_position` were written in an earlier life.
CREATE TABLE ledger.incarnations (
    incarnation       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_identifier bigint NOT NULL,
    restored_position bigint NOT NULL,
    began_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO ledger.incarnations (system_identifier, restored_position)
SELECT system_identifier, 0 FROM pg_control_system();
