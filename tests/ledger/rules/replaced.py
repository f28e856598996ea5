"""The rules inside the functions: each with what stands in its place when it is taken away."""

# file: (text, what stands in its place, the rule in words). An assignment gone changes values.
REPLACED: dict[str, tuple[tuple[str, str, str], ...]] = {
    "stamp_row": (
        ("NEW.xid := pg_current_xact_id();", "", "the row carries its transaction"),
        (
            "IF split_part(NEW.aggregate, '/', 1) <> TG_ARGV[0] THEN",
            "IF false THEN",
            "a row is in the table of its aggregate type",
        ),
        ("NEW.base := 0;", "", "a new row starts from 0"),
        (
            "IF OLD.xid = NEW.xid AND OLD.head_at >= now() THEN",
            "IF false THEN",
            "a transaction writes a row once",
        ),
        (" AND OLD.head_at >= now() THEN", " THEN", "an old transaction is not this one"),
        (
            "IF OLD.xid > NEW.xid AND OLD.head_at >= now() - ledger.late_after() THEN",
            "IF false THEN",
            "no transaction writes after one that began later",
        ),
        (
            " AND OLD.head_at >= now() - ledger.late_after() THEN",
            " THEN",
            "a later transaction of long ago is over",
        ),
        (
            "IF OLD.head_at >= (SELECT max(began_at) FROM ledger.incarnations) THEN",
            "IF true THEN",
            "a later transaction of another cluster is over",
        ),
        ("NEW.aggregate_id <> OLD.aggregate_id OR ", "", "a row keeps its id"),
        (" OR NEW.aggregate <> OLD.aggregate THEN", " THEN", "a row keeps its name"),
        ("NEW.base := OLD.version;", "", "a row starts from its version"),
        ("IF NEW.version <= NEW.base THEN", "IF false THEN", "a version grows"),
        ("NEW.head_at < now() OR ", "", "no time before the transaction"),
        ("NEW.head_at < OLD.head_at OR ", "", "no time before the last one"),
        (
            "OR (NEW.head_at > clock_timestamp()\n"
            "            AND NEW.head_at IS DISTINCT FROM OLD.head_at) THEN",
            "THEN",
            "no time to come",
        ),
        (
            "\n            AND NEW.head_at IS DISTINCT FROM OLD.head_at) THEN",
            ") THEN",
            "the last time may stand again",
        ),
    ),
    "require_events": (
        ("IF events <> NEW.version - NEW.base THEN", "IF false THEN", "as many events as versions"),
        (
            "IF clock_timestamp() - NEW.head_at > ledger.late_after() THEN",
            "IF false THEN",
            "no commit comes late",
        ),
        (
            "IF NEW.head_at <= (SELECT until FROM ledger.closed_past) THEN",
            "IF false THEN",
            "no event comes into a closed past",
        ),
    ),
    "write_count_events": (
        ("WHERE aggregate_id = id AND", "WHERE", "events of this aggregate count"),
        (' AND "timestamp" = moment', "", "events at this time count"),
        (" AND xid = writer", "", "events of this transaction count"),
        (" AND version > base", "", "events after the base count"),
        (" AND version <= head", "", "events up to the version count"),
        (
            "WHEN %1$L THEN RETURN (SELECT count(*) FROM ledger.%1$I %3$s)",
            "WHEN %1$L THEN RETURN head - base",
            "this month's events are counted",
        ),
        (
            "WHEN %2$L THEN RETURN (SELECT count(*) FROM ledger.%2$I %3$s)",
            "WHEN %2$L THEN RETURN head - base",
            "next month's events are counted",
        ),
        (
            "ELSE RETURN (SELECT count(*) FROM ledger.event_log %3$s)",
            "ELSE RETURN head - base",
            "events of other months are counted",
        ),
        (
            "WHEN %1$L THEN RETURN (SELECT count(*) FROM ledger.%1$I",
            "WHEN %1$L THEN RETURN (SELECT count(*) FROM ledger.%2$I",
            "this month's are looked for in its partition",
        ),
        (
            "WHEN %2$L THEN RETURN (SELECT count(*) FROM ledger.%2$I",
            "WHEN %2$L THEN RETURN (SELECT count(*) FROM ledger.%1$I",
            "next month's are looked for in its partition",
        ),
        (
            "ELSE RETURN (SELECT count(*) FROM ledger.event_log %3$s);",
            "",
            "events of other months are looked for",
        ),
    ),
    "require_row": (
        ("head IS NULL OR ", "", "there is a row"),
        ("head.aggregate <> NEW.aggregate OR ", "", "the row has the name of the event"),
        (" OR head.xid <> NEW.xid", "", "the row is of this transaction"),
        ('OR head.head_at <> NEW."timestamp"', "", "the row has the time of the event"),
        ("OR NEW.version <= head.base", "", "the event is after the base"),
        (" OR NEW.version > head.version THEN", " THEN", "the event is not beyond the row"),
        (
            "ELSE RAISE EXCEPTION 'no state table for the noun of %', NEW.aggregate "
            "USING ERRCODE = 'ZA001';",
            "ELSE NULL;",
            "an event is of an aggregate type",
        ),
    ),
    "refuse_change": (
        (
            "RAISE EXCEPTION '% of ledger.% is refused: the ledger only grows; write a new event "
            "instead',\n        TG_OP, TG_TABLE_NAME USING ERRCODE = 'ZA002';",
            "RETURN coalesce(NEW, OLD);",
            "the ledger only grows",
        ),
    ),
    "create_partition": (
        (
            "EXECUTE format(\n"
            "        'CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.%I '\n"
            "        'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', name);",
            "",
            "a new partition refuses TRUNCATE",
        ),
    ),
    "close_past": (
        (
            "IF too_early >= interval '0' THEN",
            "IF false THEN",
            "a past that may still change stays open",
        ),
        ("WHERE until < moment;", ";", "a closed past stays closed"),
    ),
    "create_partitions": (
        ("IF ahead NOT BETWEEN 0 AND 24 THEN", "IF false THEN", "two years of partitions at most"),
    ),
}
