-- Files of a bank that were compared with the transfers, once for ever.
CREATE TABLE ledger.statements (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    statement_id   text NOT NULL,
    adapter        text NOT NULL,
    name           text NOT NULL,
    saga_id        text NOT NULL,
    matched        bigint NOT NULL,
    differences    bigint NOT NULL,
    sums           jsonb NOT NULL,
    awaited        jsonb NOT NULL,
    ahead          jsonb NOT NULL,
    PRIMARY KEY (aggregate_id),
    CONSTRAINT statements_identity_check CHECK (statement_id !~ '/'),
    CONSTRAINT statements_moments CHECK (
        head_at >= '0001-01-02 00:00+00' AND head_at <= '9999-12-30 00:00+00'),
    CONSTRAINT statements_numbers CHECK (version >= 0 AND base >= 0
        AND matched >= 0 AND matched <= 9007199254740991
        AND differences >= 0 AND differences <= 9007199254740991),
    CONSTRAINT statements_hashes CHECK (length(head_hash) = 32),
    CONSTRAINT statements_texts CHECK (
        length(aggregate) <= 1000 AND aggregate !~ '[\u0001-\u001F\u007F]'
        AND length(statement_id) <= 1000 AND statement_id !~ '[\u0001-\u001F\u007F]'
        AND length(adapter) <= 1000 AND adapter !~ '[\u0001-\u001F\u007F]'
        AND length(name) <= 1000 AND name !~ '[\u0001-\u001F\u007F]'
        AND length(saga_id) <= 1000 AND saga_id !~ '[\u0001-\u001F\u007F]'),
    CONSTRAINT statements_json CHECK (
        jsonb_typeof(sums) = 'array' AND octet_length(sums::text) <= 4194304
        AND jsonb_typeof(awaited) = 'array' AND octet_length(awaited::text) <= 4194304
        AND jsonb_typeof(ahead) = 'array' AND octet_length(ahead::text) <= 4194304
        AND NOT jsonb_path_exists(sums, 'strict $.**{129}')
        AND NOT jsonb_path_exists(sums, 'strict $.** ? (@ > 1e308 || @ < -1e308)'))
);
GRANT SELECT ON ledger.statements TO amends_worker, amends_auditor;
GRANT INSERT, UPDATE ON ledger.statements TO amends_worker;
CALL ledger.guard_state_table('statements', 'statement');
