-- What was asked for, what was captured of it, and in which parts. The defaults are for the rows that are
-- there, of which each was captured at once or not at all: each write names every column.
ALTER TABLE ledger.authorizations
    ADD COLUMN requested_minor bigint,
    ADD COLUMN captured_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN parts jsonb NOT NULL DEFAULT '[]';
-- No event tells of this: what follows from those that are there is filled in.
ALTER TABLE ledger.authorizations DISABLE TRIGGER USER;
UPDATE ledger.authorizations SET requested_minor = amount_minor,
    captured_minor = CASE state WHEN 'captured' THEN amount_minor ELSE 0 END;
ALTER TABLE ledger.authorizations ENABLE TRIGGER USER;
ALTER TABLE ledger.authorizations
    ALTER COLUMN requested_minor SET NOT NULL,
    ALTER COLUMN captured_minor DROP DEFAULT,
    ALTER COLUMN parts DROP DEFAULT,
    ADD CONSTRAINT authorizations_captured_numbers CHECK (
        requested_minor >= 0 AND requested_minor <= 9007199254740991
        AND captured_minor >= 0 AND captured_minor <= 9007199254740991),
    ADD CONSTRAINT authorizations_parts_json CHECK (
        jsonb_typeof(parts) = 'array'
        AND octet_length(parts::text) <= 4194304
        AND NOT jsonb_path_exists(parts, 'strict $.**{129}')
        AND NOT jsonb_path_exists(parts, 'strict $.** ? (@ > 1e308 || @ < -1e308)'));
