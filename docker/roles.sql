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
