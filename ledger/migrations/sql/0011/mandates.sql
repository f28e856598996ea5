-- Budgets that agents hold, and delegate parts of.
CREATE TABLE ledger.mandates (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    mandate_id     text NOT NULL,
    agent_id       text NOT NULL,
    chain          jsonb NOT NULL,
    currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor   bigint,
    count          integer,
    destinations   jsonb,
    purposes       jsonb,
    valid_from     timestamptz NOT NULL,
    valid_until    timestamptz,
    state          text NOT NULL CHECK (state IN ('active', 'revoked')),
    PRIMARY KEY (aggregate_id),
    CONSTRAINT mandates_identity_check CHECK (mandate_id !~ '/'),
    CONSTRAINT mandates_numbers CHECK (version >= 0 AND base >= 0 AND count >= 0
        AND amount_minor >= 0 AND amount_minor <= 9007199254740991),
    CONSTRAINT mandates_hashes CHECK (length(head_hash) = 32),
    CONSTRAINT mandates_texts CHECK (
        length(aggregate) <= 1000 AND aggregate !~ '[\u0001-\u001F\u007F]'
        AND length(mandate_id) <= 1000 AND mandate_id !~ '[\u0001-\u001F\u007F]'
        AND length(agent_id) <= 1000 AND agent_id !~ '[\u0001-\u001F\u007F]'
        AND length(currency) <= 1000 AND currency !~ '[\u0001-\u001F\u007F]'
        AND length(state) <= 1000 AND state !~ '[\u0001-\u001F\u007F]'),
    CONSTRAINT mandates_moments CHECK (
        head_at >= '0001-01-02 00:00+00' AND head_at <= '9999-12-30 00:00+00'
        AND valid_from >= '0001-01-02 00:00+00' AND valid_from <= '9999-12-30 00:00+00'
        AND valid_until >= '0001-01-02 00:00+00' AND valid_until <= '9999-12-30 00:00+00'),
    CONSTRAINT mandates_json CHECK (
        jsonb_typeof(chain) = 'array'
        AND octet_length(chain::text) <= 4194304
        AND NOT jsonb_path_exists(chain, 'strict $.**{129}')
        AND NOT jsonb_path_exists(chain, 'strict $.** ? (@ > 1e308 || @ < -1e308)')
        AND jsonb_typeof(destinations) = 'array'
        AND octet_length(destinations::text) <= 4194304
        AND NOT jsonb_path_exists(destinations, 'strict $.**{129}')
        AND NOT jsonb_path_exists(destinations, 'strict $.** ? (@ > 1e308 || @ < -1e308)')
        AND jsonb_typeof(purposes) = 'array'
        AND octet_length(purposes::text) <= 4194304
        AND NOT jsonb_path_exists(purposes, 'strict $.**{129}')
        AND NOT jsonb_path_exists(purposes, 'strict $.** ? (@ > 1e308 || @ < -1e308)'))
);
CREATE INDEX mandates_agent ON ledger.mandates (agent_id);
CALL ledger.guard_state_table('mandates', 'mandate');
GRANT SELECT ON ledger.mandates TO amends_worker, amends_auditor;
GRANT INSERT, UPDATE ON ledger.mandates TO amends_worker;

-- The mandates that a payment is under. The default is for the rows that are there: each write names
-- every column.
ALTER TABLE ledger.authorizations
    ADD COLUMN mandates jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN purpose text,
    ADD CONSTRAINT authorizations_purpose_text CHECK (length(purpose) <= 65536),
    ADD CONSTRAINT authorizations_mandates_json CHECK (
        jsonb_typeof(mandates) = 'array'
        AND octet_length(mandates::text) <= 4194304
        AND NOT jsonb_path_exists(mandates, 'strict $.**{129}')
        AND NOT jsonb_path_exists(mandates, 'strict $.** ? (@ > 1e308 || @ < -1e308)'));
ALTER TABLE ledger.authorizations ALTER COLUMN mandates DROP DEFAULT;
CREATE INDEX authorizations_mandates ON ledger.authorizations USING gin (mandates jsonb_path_ops)
    WHERE mandates <> '[]';
-- A request redeems its mandates, and spends of its policy, once.
CREATE UNIQUE INDEX authorizations_saga ON ledger.authorizations (saga_id);
