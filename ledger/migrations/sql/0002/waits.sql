-- What a saga waits for, since when, until when, and who may decide.
ALTER TABLE ledger.sagas
    ADD COLUMN waits_for   text,
    ADD COLUMN waits_on    text,
    ADD COLUMN waits_since timestamptz,
    ADD COLUMN waits_until timestamptz;
CREATE INDEX sagas_waiting ON ledger.sagas (started_at)
    WHERE waits_for IS NOT NULL OR lost IS NOT NULL;
-- Why the undo of a step had no success so far.
ALTER TABLE ledger.saga_steps ADD COLUMN delayed text;
-- What waits for a person, is in doubt, or is undone again and again.
DROP INDEX ledger.saga_steps_attention;
CREATE INDEX saga_steps_waiting ON ledger.saga_steps (head_at)
    WHERE attention IS NOT NULL OR delayed IS NOT NULL OR state = 'unknown';
