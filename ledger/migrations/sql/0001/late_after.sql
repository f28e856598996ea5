-- A commit later than this after the time of its events is refused: so the past closes.
CREATE FUNCTION ledger.late_after() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN interval '5 seconds';
