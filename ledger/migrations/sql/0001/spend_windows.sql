-- A projection: what is reserved or spent of an agent's limit in a stretch of time.
CREATE TABLE ledger.spend_windows (
    agent_id     text NOT NULL,
    currency     text NOT NULL,
    period       text NOT NULL,
    starts_on    date NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    count        integer NOT NULL CHECK (count >= 0),
    PRIMARY KEY (agent_id, currency, period, starts_on)
);
