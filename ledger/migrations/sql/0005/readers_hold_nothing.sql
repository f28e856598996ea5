-- What guards the start of a worker and the past is out of the reach of those who only read.

-- Whoever makes partitions, or migrates, locks it. Nobody but the owner has a right on it; it may be
-- there, since a migration needs it first.
CREATE TABLE IF NOT EXISTS ledger.maintenance ();
REVOKE ALL ON ledger.maintenance FROM PUBLIC, amends_worker, amends_auditor;

-- As many rows as are held at once: see close_past.
ALTER TABLE ledger.closed_past DROP CONSTRAINT closed_past_pkey, DROP COLUMN only_row;
CREATE INDEX closed_past_until ON ledger.closed_past (until);
