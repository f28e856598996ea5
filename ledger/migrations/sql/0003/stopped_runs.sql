-- How the run of an open saga stands in Temporal, when it does not go on, and since when.
ALTER TABLE ledger.sagas
    ADD COLUMN run_closed     text,
    ADD COLUMN run_paused     text,
    ADD COLUMN run_stopped_at timestamptz;
DROP INDEX ledger.sagas_waiting;
CREATE INDEX sagas_waiting ON ledger.sagas (started_at)
    WHERE waits_for IS NOT NULL OR lost IS NOT NULL
       OR run_closed IS NOT NULL OR run_paused IS NOT NULL;
