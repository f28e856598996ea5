-- What an agent asked to pay, and what came of it.
CREATE TABLE ledger.authorizations (
    aggregate_id   uuid NOT NULL,
    aggregate      text NOT NULL,
    version        integer NOT NULL,
    base           integer NOT NULL,
    head_at        timestamptz NOT NULL,
    head_hash      bytea NOT NULL,
    xid            xid8 NOT NULL,
    authorization_id   text NOT NULL,
    saga_id            text NOT NULL,
    agent_id           text NOT NULL,
    amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
    currency           text NOT NULL,
    destination        text NOT NULL,
    description        text NOT NULL,
    state              text NOT NULL CHECK (state IN (
        'pending_approval', 'approved', 'denied', 'rejected', 'expired', 'voided', 'capturing',
        'captured', 'compensated')),
    reason             text,
    requested_at       timestamptz NOT NULL,
    expires_at         timestamptz,
    policy_version     integer,
    binding            text,
    reserved           jsonb NOT NULL,
    transfer_id        text,
    provider_reference text,
    PRIMARY KEY (aggregate_id)
);
-- The history of payments: by date range, and with it by agent or by state.
CREATE INDEX authorizations_requested ON ledger.authorizations (requested_at);
CREATE INDEX authorizations_agent ON ledger.authorizations (agent_id, requested_at);
CREATE INDEX authorizations_state ON ledger.authorizations (state, requested_at);
