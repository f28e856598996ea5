-- Up to when the past was answered for: one row. No event at or before it is accepted any more.
CREATE TABLE ledger.closed_past (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    until    timestamptz NOT NULL
);
INSERT INTO ledger.closed_past (until) VALUES ('-infinity');
