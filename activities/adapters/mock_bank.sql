-- The books of the mock bank, in a database of its own. May be applied again at any time.
SELECT pg_advisory_xact_lock(hashtextextended('mock_bank.sql', 0));

CREATE SCHEMA IF NOT EXISTS mock_bank;

-- One row per key, for ever: the primary key is what makes a transfer happen once.
CREATE TABLE IF NOT EXISTS mock_bank.transfers (
    key          text PRIMARY KEY,
    status       text NOT NULL CHECK (status IN ('executed', 'refused', 'cancelled', 'reversed')),
    reference    text,
    reason       text,
    amount_minor bigint CHECK (amount_minor > 0),
    currency     text,
    destination  text,
    description  text,
    deliveries   integer NOT NULL DEFAULT 0,  -- orders that arrived with this key
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    cancelled_at timestamptz,
    reversed_at  timestamptz,
    -- only a key that was cancelled before its order arrived has no order
    CHECK (status = 'cancelled'
           OR num_nulls(amount_minor, currency, destination, description) = 0),
    CHECK ((reference IS NOT NULL) = (status IN ('executed', 'reversed')))
);

-- A refund is a row of its own, under a key of its own, and the row of its transfer says how much of
-- it went back: who refunds holds that row. Added here, since the table may be of an older version.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'mock_bank.transfers'::regclass
            AND attname = 'refund_of') THEN
        ALTER TABLE mock_bank.transfers
            ADD COLUMN refund_of text,
            ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0,
            ADD CONSTRAINT transfers_refunded_check CHECK (refunded_minor >= 0 AND refunded_minor
                <= CASE WHEN status = 'executed' AND refund_of IS NULL THEN amount_minor ELSE 0 END),
            ADD CONSTRAINT transfers_refund_stays_check
                CHECK (refund_of IS NULL OR status <> 'reversed');
    END IF;
END
$$;

-- What goes wrong, by key. The oldest row with calls left hits the next call of its operation.
CREATE TABLE IF NOT EXISTS mock_bank.faults (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key       text NOT NULL,
    operation text NOT NULL DEFAULT 'transfer'
              CHECK (operation IN ('transfer', 'find', 'cancel', 'reverse', 'refund')),
    fault     text NOT NULL CHECK (fault IN ('refuse', 'timeout_before', 'timeout_after',
                                             'answer_twice', 'slow', 'slow_after')),
    remaining integer NOT NULL DEFAULT 1 CHECK (remaining >= 0),
    delay_ms  integer NOT NULL DEFAULT 0 CHECK (delay_ms >= 0),
    note      text,
    CHECK (fault <> 'refuse' OR operation IN ('transfer', 'refund'))
);
-- As above, for a table of a version without refunds.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'mock_bank.faults'::regclass
            AND conname = 'faults_operation_check'
            AND pg_get_constraintdef(oid) NOT LIKE '%refund%') THEN
        ALTER TABLE mock_bank.faults
            DROP CONSTRAINT faults_operation_check,
            DROP CONSTRAINT faults_check,
            ADD CONSTRAINT faults_operation_check
                CHECK (operation IN ('transfer', 'find', 'cancel', 'reverse', 'refund')),
            ADD CONSTRAINT faults_check
                CHECK (fault <> 'refuse' OR operation IN ('transfer', 'refund'));
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS faults_by_key ON mock_bank.faults (key, operation, id)
    WHERE remaining > 0;
