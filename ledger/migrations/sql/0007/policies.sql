-- What a policy says beyond the amounts of its first version, and who has approved what until when. The
-- defaults are for the rows that are there: each write names every column.
ALTER TABLE ledger.policies
    ADD COLUMN terms jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT policies_json CHECK (
        jsonb_typeof(terms) = 'object'
        AND octet_length(terms::text) <= 4194304
        AND NOT jsonb_path_exists(terms, 'strict $.**{129}')
        AND NOT jsonb_path_exists(terms, 'strict $.** ? (@ > 1e308 || @ < -1e308)'));
ALTER TABLE ledger.policies ALTER COLUMN terms DROP DEFAULT;

ALTER TABLE ledger.authorizations
    ADD COLUMN capture_until timestamptz,
    ADD COLUMN approved_by jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    ADD CONSTRAINT authorizations_capture_moments CHECK (
        capture_until >= '0001-01-02 00:00+00' AND capture_until <= '9999-12-30 00:00+00'),
    ADD CONSTRAINT authorizations_approved_json CHECK (
        jsonb_typeof(approved_by) = 'array'
        AND octet_length(approved_by::text) <= 4194304
        AND NOT jsonb_path_exists(approved_by, 'strict $.**{129}')
        AND NOT jsonb_path_exists(approved_by, 'strict $.** ? (@ > 1e308 || @ < -1e308)'));
ALTER TABLE ledger.authorizations
    ALTER COLUMN approved_by DROP DEFAULT,
    ALTER COLUMN attempts DROP DEFAULT;
