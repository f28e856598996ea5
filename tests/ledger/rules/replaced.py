"""The rules inside the functions: each with what stands in its place when it is taken away."""

# file: {the rule in words: its text, or its text and what stands in its place}. A text alone goes,
# or as a condition never holds. An assignment gone changes values.
REPLACED: dict[str, dict[str, str | tuple[str, str]]] = {
    "stamp_row": {
        "the row carries its transaction": "NEW.xid := pg_current_xact_id();",
        "a row is in the table of its aggregate type": (
            "IF split_part(NEW.aggregate, '/', 1) <> TG_ARGV[0] THEN"
        ),
        "a new row starts from 0": "NEW.base := 0;",
        "a transaction writes a row once": "IF OLD.xid = NEW.xid AND OLD.head_at >= now() THEN",
        "an old transaction is not this one": (" AND OLD.head_at >= now() THEN", " THEN"),
        "no transaction writes after one that began later": (
            "IF OLD.xid > NEW.xid AND OLD.head_at >= now() - ledger.late_after() THEN"
        ),
        "a later transaction of long ago is over": (
            " AND OLD.head_at >= now() - ledger.late_after() THEN",
            " THEN",
        ),
        "a later transaction of another cluster is over": (
            "IF OLD.head_at >= (SELECT max(began_at) FROM ledger.incarnations) THEN",
            "IF true THEN",
        ),
        "a row keeps its id": "NEW.aggregate_id <> OLD.aggregate_id OR ",
        "a row keeps its name": (" OR NEW.aggregate <> OLD.aggregate THEN", " THEN"),
        "a row starts from its version": "NEW.base := OLD.version;",
        "a saga has the workflow id of the name": (
            "WHEN 'saga' THEN\n            identity := 'saga/' || NEW.workflow_id;",
            "WHEN 'saga' THEN identity := NEW.aggregate;",
        ),
        "a saga has the operation id of the name": (
            "IF replace(NEW.workflow_id, ':', '.') <> NEW.kind || '/' || NEW.operation_id THEN\n"
            "                identity := '';",
            "IF false THEN NULL;",
        ),
        **{
            f"{what} has the identity of the name": (
                f"WHEN '{noun}' THEN identity := '{noun}/' || {key};",
                f"WHEN '{noun}' THEN identity := NEW.aggregate;",
            )
            for what, noun, key in (
                ("a step", "step", "NEW.saga_id || '/' || NEW.name"),
                ("an authorization", "authorization", "NEW.authorization_id"),
                ("a transfer", "transfer", "NEW.transfer_id"),
                ("a refund", "refund", "NEW.refund_id"),
                ("an agent", "agent", "NEW.agent_id"),
                ("a policy", "policy", "NEW.agent_id"),
                ("a mandate", "mandate", "NEW.mandate_id"),
                ("a key", "key", "NEW.key_id"),
                ("a statement", "statement", "NEW.statement_id"),
                ("a case", "case", "NEW.case_id"),
                ("a resource", "resource", "NEW.environment || '/' || NEW.name"),
            )
        },
        "no row claims another identity": "IF identity <> NEW.aggregate THEN",
        "a version grows": "IF NEW.version <= NEW.base THEN",
        "no time before the transaction": "NEW.head_at < now() OR ",
        "no time before the last one": "NEW.head_at < OLD.head_at OR ",
        "no time to come": (
            "OR (NEW.head_at > clock_timestamp()\n"
            "            AND NEW.head_at IS DISTINCT FROM OLD.head_at) THEN",
            "THEN",
        ),
        "the last time may stand again": (
            "\n            AND NEW.head_at IS DISTINCT FROM OLD.head_at) THEN",
            ") THEN",
        ),
    },
    "require_events": {
        "as many events as versions": "IF events <> NEW.version - NEW.base THEN",
        "no commit comes late": "IF clock_timestamp() - NEW.head_at > ledger.late_after() THEN",
        "no event comes into a closed past": (
            "IF NEW.head_at <= (SELECT max(until) FROM ledger.closed_past) THEN"
        ),
    },
    "write_count_events": {
        "events of this aggregate count": ("WHERE aggregate_id = id AND", "WHERE"),
        "events at this time count": ' AND "timestamp" = moment',
        "events of this transaction count": " AND xid = writer",
        "events after the base count": " AND version > base",
        "events up to the version count": " AND version <= head",
        "this month's events are counted": (
            "WHEN %1$L THEN RETURN (SELECT count(*) FROM ledger.%1$I %3$s)",
            "WHEN %1$L THEN RETURN head - base",
        ),
        "next month's events are counted": (
            "WHEN %2$L THEN RETURN (SELECT count(*) FROM ledger.%2$I %3$s)",
            "WHEN %2$L THEN RETURN head - base",
        ),
        "events of other months are counted": (
            "ELSE RETURN (SELECT count(*) FROM ledger.event_log %3$s)",
            "ELSE RETURN head - base",
        ),
        "this month's are looked for in its partition": (
            "WHEN %1$L THEN RETURN (SELECT count(*) FROM ledger.%1$I",
            "WHEN %1$L THEN RETURN (SELECT count(*) FROM ledger.%2$I",
        ),
        "next month's are looked for in its partition": (
            "WHEN %2$L THEN RETURN (SELECT count(*) FROM ledger.%2$I",
            "WHEN %2$L THEN RETURN (SELECT count(*) FROM ledger.%1$I",
        ),
        "events of other months are looked for": (
            "ELSE RETURN (SELECT count(*) FROM ledger.event_log %3$s);"
        ),
    },
    "require_row": {
        "there is a row": "head IS NULL OR ",
        "the row has the name of the event": "head.aggregate <> NEW.aggregate OR ",
        "the row is of this transaction": " OR head.xid <> NEW.xid",
        "the row has the time of the event": 'OR head.head_at <> NEW."timestamp"',
        "the event is after the base": "OR NEW.version <= head.base",
        "the event is not beyond the row": (" OR NEW.version > head.version THEN", " THEN"),
        "an event is of an aggregate type": (
            "ELSE RAISE EXCEPTION 'no state table for the noun of %', NEW.aggregate "
            "USING ERRCODE = 'ZA001';",
            "ELSE NULL;",
        ),
    },
    "refuse_change": {
        "the ledger only grows": (
            "RAISE EXCEPTION '% of ledger.% is refused: the ledger only grows; write a new event "
            "instead',\n        TG_OP, TG_TABLE_NAME USING ERRCODE = 'ZA002';",
            "RETURN coalesce(NEW, OLD);",
        )
    },
    "create_partition": {
        "a new partition refuses TRUNCATE": (
            "EXECUTE format(\n"
            "        'CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger.%I '\n"
            "        'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', name);"
        )
    },
    "close_past": {
        "a past that may still change stays open": "IF too_early >= interval '0' THEN",
        "a closed past stays closed": ("WHERE until < moment\n", "\n"),
    },
    "create_partitions": {"two years of partitions at most": "IF ahead NOT BETWEEN 0 AND 24 THEN"},
}
