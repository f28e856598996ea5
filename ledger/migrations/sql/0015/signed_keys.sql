-- By which key the registration of a key was signed; NULL: by none that production takes.
ALTER TABLE ledger.keys
    ADD COLUMN signed_by text,
    ADD CONSTRAINT keys_signed_by CHECK (
        length(signed_by) <= 1000 AND signed_by !~ '[\u0001-\u001F\u007F]');
