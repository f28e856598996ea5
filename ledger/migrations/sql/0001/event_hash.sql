-- The hash of an event that is written at `at`: its RFC 8785 text, in three parts, around the hash
-- before it and its time, which nobody knows earlier (docs/hash.md). A session may have a time zone
-- of its own that calls itself UTC; Etc/UTC is always the one.
CREATE FUNCTION ledger.event_hash(head text, previous bytea, middle text, at timestamptz, tail text)
RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(convert_to(
    head || encode(previous, 'hex') || middle
        || to_char(at AT TIME ZONE 'Etc/UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || tail,
    'UTF8'));
