-- Differences between a bank's statement and the transfers, until a person closes them.
CREATE TABLE ledger.cases (
    aggregate_id      uuid NOT NULL,
    aggregate         text NOT NULL,
    version           integer NOT NULL,
    base              integer NOT NULL,
    head_at           timestamptz NOT NULL,
    head_hash         bytea NOT NULL,
    xid               xid8 NOT NULL,
    case_id           text NOT NULL,
    statement_id      text NOT NULL,
    kind              text NOT NULL CHECK (kind IN
        ('there_not_here', 'here_not_there', 'different', 'twice', 'balance')),
    state             text NOT NULL CHECK (state IN ('open', 'closed')),
    transfer_id       text,
    direction         text CHECK (direction IN ('credit', 'debit')),
    entry             bigint,
    reference         text,
    end_to_end_id     text,
    booked_minor      bigint,
    booked_currency   text,
    recorded_minor    bigint,
    recorded_currency text,
    detail            text,
    closed_by         text,
    evidence          text,
    PRIMARY KEY (aggregate_id),
    -- Nobody but a person, and nobody without evidence.
    CONSTRAINT cases_closed_check CHECK (CASE state
        WHEN 'closed' THEN coalesce(closed_by ~ '^user:.+$' AND evidence <> '', false)
        ELSE closed_by IS NULL AND evidence IS NULL END),
    CONSTRAINT cases_identity_check CHECK (case_id !~ '/' AND statement_id !~ '/'),
    CONSTRAINT cases_moments CHECK (
        head_at >= '0001-01-02 00:00+00' AND head_at <= '9999-12-30 00:00+00'),
    CONSTRAINT cases_numbers CHECK (version >= 0 AND base >= 0
        AND entry >= 0 AND entry <= 9007199254740991
        AND booked_minor >= 0 AND booked_minor <= 9007199254740991
        AND recorded_minor >= 0 AND recorded_minor <= 9007199254740991),
    CONSTRAINT cases_hashes CHECK (length(head_hash) = 32),
    CONSTRAINT cases_names CHECK (
        length(aggregate) <= 1000 AND aggregate !~ '[\u0001-\u001F\u007F]'
        AND length(case_id) <= 1000 AND case_id !~ '[\u0001-\u001F\u007F]'
        AND length(statement_id) <= 1000 AND statement_id !~ '[\u0001-\u001F\u007F]'),
    CONSTRAINT cases_texts CHECK (length(transfer_id) <= 65536 AND length(reference) <= 65536
        AND length(end_to_end_id) <= 65536 AND length(booked_currency) <= 65536
        AND length(recorded_currency) <= 65536 AND length(detail) <= 65536
        AND length(closed_by) <= 65536 AND length(evidence) <= 65536)
);
CREATE INDEX cases_open ON ledger.cases (head_at) WHERE state = 'open';
CREATE INDEX cases_by_statement ON ledger.cases (statement_id);
GRANT SELECT ON ledger.cases TO amends_worker, amends_auditor;
GRANT INSERT, UPDATE ON ledger.cases TO amends_worker;
CALL ledger.guard_state_table('cases', 'case');
