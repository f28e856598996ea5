-- The roles and databases of Amends, made by the postgres image at its first start.
-- The passwords come from the environment of the container.
\set ON_ERROR_STOP on
\getenv owner_password AMENDS_OWNER_PASSWORD
\getenv worker_password AMENDS_WORKER_PASSWORD
\getenv auditor_password AMENDS_AUDITOR_PASSWORD
\getenv mock_bank_password MOCK_BANK_PASSWORD

-- The limits leave room for each other below max_connections, which is 200.
CREATE ROLE amends_owner LOGIN CONNECTION LIMIT 10 PASSWORD :'owner_password';
CREATE ROLE amends_worker LOGIN CONNECTION LIMIT 120 PASSWORD :'worker_password';
CREATE ROLE amends_auditor LOGIN CONNECTION LIMIT 30 PASSWORD :'auditor_password';
CREATE ROLE mock_bank LOGIN CONNECTION LIMIT 30 PASSWORD :'mock_bank_password';

CREATE DATABASE amends OWNER amends_owner;
REVOKE ALL ON DATABASE amends FROM PUBLIC;
GRANT CONNECT ON DATABASE amends TO amends_worker, amends_auditor;

CREATE DATABASE mock_bank OWNER mock_bank;
REVOKE ALL ON DATABASE mock_bank FROM PUBLIC;

-- What a role could do beyond its rights on tables: fill the disk by sorting, store large objects, end
-- the sessions of others, look into other databases.
ALTER ROLE amends_owner SET temp_file_limit = '10GB';
ALTER ROLE amends_worker SET temp_file_limit = '10GB';
ALTER ROLE amends_auditor SET temp_file_limit = '10GB';
ALTER ROLE mock_bank SET temp_file_limit = '10GB';
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
SELECT $$
    DO $do$ DECLARE name regprocedure; BEGIN
        FOR name IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
            AND (proname ~ '^lo_' OR proname IN
                ('loread', 'lowrite', 'pg_cancel_backend', 'pg_terminate_backend'))
        LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name); END LOOP;
    END $do$
$$ AS not_for_everybody \gset
\connect amends
:not_for_everybody;
\connect mock_bank
:not_for_everybody;
