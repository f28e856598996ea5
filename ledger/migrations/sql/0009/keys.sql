-- Public keys of agents and people, by which they sign what they ask for.
CREATE TABLE ledger.keys (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    key_id         text NOT NULL,
    holder         text NOT NULL,
    public_key     text NOT NULL,
    state          text NOT NULL CHECK (state IN ('active', 'revoked')),
    valid_from     timestamptz NOT NULL,
    valid_until    timestamptz,
    revoked_at     timestamptz,
    reason         text,
    PRIMARY KEY (aggregate_id),
    CONSTRAINT keys_numbers CHECK (version >= 0 AND base >= 0),
    CONSTRAINT keys_hashes CHECK (length(head_hash) = 32),
    -- As in 0004: names have no control characters, prose may have any.
    CONSTRAINT keys_texts CHECK (
        length(aggregate) <= 1000 AND aggregate !~ '[\u0001-\u001F\u007F]'
        AND length(key_id) <= 1000 AND key_id !~ '[\u0001-\u001F\u007F]'
        AND length(holder) <= 1000 AND holder !~ '[\u0001-\u001F\u007F]'
        AND length(public_key) <= 1000 AND public_key !~ '[\u0001-\u001F\u007F]'
        AND length(state) <= 1000 AND state !~ '[\u0001-\u001F\u007F]'
        AND length(reason) <= 65536),
    CONSTRAINT keys_moments CHECK (
        head_at >= '0001-01-02 00:00+00' AND head_at <= '9999-12-30 00:00+00'
        AND valid_from >= '0001-01-02 00:00+00' AND valid_from <= '9999-12-30 00:00+00'
        AND valid_until >= '0001-01-02 00:00+00' AND valid_until <= '9999-12-30 00:00+00'
        AND revoked_at >= '0001-01-02 00:00+00' AND revoked_at <= '9999-12-30 00:00+00')
);
CREATE INDEX keys_holder ON ledger.keys (holder);
CALL ledger.guard_state_table('keys', 'key');
GRANT SELECT ON ledger.keys TO amends_worker, amends_auditor;
GRANT INSERT, UPDATE ON ledger.keys TO amends_worker;
