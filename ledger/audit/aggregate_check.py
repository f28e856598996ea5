"""Replays one aggregate from its events and compares its state row with the fold."""

from dataclasses import dataclass

from ledger.aggregates.aggregate import AggregateType, State, UnknownEvent, id_text
from ledger.aggregates.identity import NAME_OF
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.transitions import objection
from ledger.audit.comparison import differing_columns
from ledger.audit.findings import Finding, Kind, finding, moment_in
from ledger.database import Connection
from ledger.read.cursors import Row
from ledger.read.event_form import is_metadata
from ledger.store.event_log import NO_HASH, event_hash, event_ids

# Columns that no law between aggregates reads.
PROSE = frozenset(
    {"reason", "residual", "cause", "cause_reason", "description", "attention", "delayed", "facts"}
)
# A clock that was set back a little is no damage.
CLOCK_SLACK_S = 60

_NOW = """
    SELECT to_char((clock_timestamp() + make_interval(secs => %(slack)s)) AT TIME ZONE 'Etc/UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS latest,
        pg_snapshot_xmax(pg_current_snapshot())::text AS next_xid,
        (SELECT max(restored_position) FROM ledger.incarnations) AS restored
"""

# PostgreSQL's own words for the bounds: FOR VALUES FROM ('...') TO ('...').
_PARTITIONS = """
    SELECT oid::bigint AS oid,
        to_char(bounds[1]::timestamptz AT TIME ZONE 'Etc/UTC', 'YYYY-MM-DD"T"HH24:MI:SS') AS first,
        to_char(bounds[2]::timestamptz AT TIME ZONE 'Etc/UTC', 'YYYY-MM-DD"T"HH24:MI:SS') AS after
    FROM pg_class
    JOIN pg_inherits ON inhrelid = oid AND inhparent = 'ledger.event_log'::regclass,
    regexp_match(pg_get_expr(relpartbound, oid), $$FROM \\('(.*)'\\) TO \\('(.*)'\\)$$) AS bounds
"""


@dataclass(frozen=True)
class Moment:
    """Bounds that every recorded event must keep.

    `latest` is the time that none is after (as `instant` writes it), `next_xid` a transaction id
    that none has reached unless it stands at or before position `restored`, `partitions` the times
    of each partition by its oid: from, and before.
    """

    latest: str
    next_xid: int
    restored: int
    partitions: dict[int, tuple[str, str]]


async def moment_of(connection: Connection) -> Moment:
    """The bounds as of the transaction that is open on this connection."""
    now = await (await connection.execute(_NOW, {"slack": CLOCK_SLACK_S})).fetchone()
    assert now is not None
    partitions = await (await connection.execute(_PARTITIONS)).fetchall()
    return Moment(
        latest=now["latest"],
        next_xid=int(now["next_xid"]),
        restored=now["restored"] or 0,
        # A default partition, which has no bounds, is none of ours: nothing belongs there.
        partitions={row["oid"]: (row["first"], row["after"]) for row in partitions if row["first"]},
    )


class Replay:
    """The check of one aggregate: its events one by one and in order, then its row; then
    `findings`.

    Ids and times are texts, as the hash sees them, and `encode` of an event makes the canonical
    bytes of its record. One damage gives one finding where its consequences are not damage of
    their own: behind a missing event neither the hash link nor the fold can be judged.
    """

    def __init__(self, first: Row, moment: Moment) -> None:
        self.findings: list[Finding] = []
        # Whether all that is wrong says nothing of other aggregates.
        self.is_judged = False
        self.id: str = first["aggregate_id"]
        self.name: str = first["aggregate"]
        self._moment = moment
        self._event_ids = event_ids(self.id)
        self._aggregate_type: AggregateType | None = AGGREGATE_TYPES.get(self.name.split("/", 1)[0])
        self._state: State | None = None
        # False from the first event on that can't be folded.
        self._whole = True
        self._last: Row | None = None
        # Before the events at the time of the last one.
        self._base = 0
        # What the next event may link to: after a wrong hash either the stored or the right one.
        self._links = {NO_HASH}
        # The same for the version that stands there now, which may exist more than once.
        self._before: set[bytes] = set()
        if self._aggregate_type is None:
            self._find(
                "unknown_aggregate_type",
                "the aggregate type is unknown to this version of Amends",
                first,
            )

    def add(self, event: Row) -> None:
        """Checks the next event by version."""
        if not self._follows(event):
            self._check_name(event)
            self._check_order(event)
        self._check_place(event)
        if event["event_id"] != f"{self._event_ids}{event['version']:08x}":
            what = f"the event_id of version {event['version']} is not that of its place"
            self._find("event_id", what, event)
        self._check_hash(event)
        self._fold(event)
        last = self._last
        if last is None or last["version"] != event["version"]:
            if last is not None and last["timestamp"] != event["timestamp"]:
                self._base = last["version"]
            self._last = event
        elif event["position"] < last["position"]:
            # Of two events of one version the first written is the likelier one.
            self._last = event

    def begins_alike(self, other: "Replay") -> bool:
        """Whether the events of two aggregates would have the same ids."""
        return self._event_ids == other._event_ids

    @property
    def table(self) -> str | None:
        """The name of the table in which the aggregate's row belongs."""
        return self._aggregate_type.columns.name if self._aggregate_type else None

    def close(self, row: Row | None, table: str | None) -> None:
        """Checks the state row after all events: `row` is the row of this id, from the table named
        so."""
        if self._aggregate_type is None:
            return
        if row is None:
            self._find("row_missing", "the state row is missing, the events are there", self._last)
            return
        if row["aggregate"] != self.name or table != self._aggregate_type.columns.name:
            self._find(
                "name", f"the state row in {table} has another name or is in the wrong table"
            )
            return
        self._check_head(row)

    def _find(self, kind: Kind, what: str, event: Row | None = None) -> None:
        position = event["position"] if event else None
        since = moment_in(event["timestamp"]) if event else None
        self.findings.append(finding(kind, self.name, what, position, since))

    def _follows(self, event: Row) -> bool:
        """Whether name and order are right at first sight, as they are nearly always."""
        last = self._last
        return (
            last is not None
            and event["version"] == last["version"] + 1
            and event["position"] > last["position"]
            and event["timestamp"] >= last["timestamp"]
            and event["aggregate"] == last["aggregate"]
        )

    def _check_name(self, event: Row) -> None:
        known = self._last is not None and self._last["aggregate"] == event["aggregate"]
        if not known and id_text(event["aggregate"]) != self.id:
            what = f"the aggregate_id of version {event['version']} does not match its name"
            self._find("name", what, event)

    def _check_order(self, event: Row) -> None:
        previous = 0 if self._last is None else self._last["version"]
        if event["version"] == previous:
            self._whole = False
            self._find("version_twice", f"version {previous} exists more than once", event)
        elif event["version"] > previous + 1:
            self._whole = False
            self._links = set()
            what = f"version {previous} is followed by version {event['version']}"
            self._find("version_gap", what, event)
        elif self._last is not None and (
            event["timestamp"] < self._last["timestamp"]
            or event["position"] <= self._last["position"]
        ):
            what = f"version {event['version']} has an earlier time or position than the one before"
            self._find("order", what, event)

    def _check_place(self, event: Row) -> None:
        at, version, moment = event["timestamp"], event["version"], self._moment
        first, after = moment.partitions.get(event["partition"], ("", ""))
        if not first <= at < after:
            what = f"version {version} is in the partition of another month"
            self._find("partition", what, event)
        if at > moment.latest:
            self._find("future", f"the time of version {version} is in the future", event)
        if event["xid"] >= moment.next_xid and event["position"] > moment.restored:
            what = f"the transaction of version {version} has not begun"
            self._find("transaction", what, event)

    def _check_hash(self, event: Row) -> None:
        twice = self._last is not None and self._last["version"] == event["version"]
        if not twice:
            self._before = self._links
        stored, links = event["hash"], self._right_hashes(event)
        if stored not in links:
            if self._before and not twice:
                self._find("hash", f"the hash of version {event['version']} is wrong", event)
            links.add(stored)
        # Of several events of one version any may be the one that the next links to.
        self._links = self._links | links if twice else links

    def _right_hashes(self, event: Row) -> set[bytes]:
        try:
            return {event_hash(link, event, event["encode"]) for link in self._before}
        except (TypeError, ValueError, RecursionError):
            # Such as a float: no event of ours looks like that.
            return set()

    def _fold(self, event: Row) -> None:
        if self._aggregate_type is None or not self._whole:
            return
        try:
            known = self._aggregate_type.event(
                event["event_type"], event["schema_version"], event["payload"]
            )
            before, self._state = self._state, self._aggregate_type.evolve(self._state, known)
        except (UnknownEvent, ValueError):
            self._whole = False
            what = f"{event['event_type']} version {event['schema_version']} can't be replayed"
            self._find("unreadable_event", what, event)
        else:
            if not is_metadata(event["metadata"]):
                what = f"the metadata of version {event['version']} can't be read"
                self._find("unreadable_event", what, event)
            what = objection(self._aggregate_type.name, before, known) or ""
            if what:
                self._find("transition", what, event)

    def _check_head(self, row: Row) -> None:
        assert self._last is not None
        last = self._last
        if row["version"] > last["version"]:
            what = (
                f"the state row is at version {row['version']}, the events end at {last['version']}"
            )
            self._find("events_missing", what, last)
            return
        wrong = [
            column
            for column, right in (
                ("version", row["version"] == last["version"]),
                ("base", self._base <= row["base"] < row["version"]),
                ("head_at", row["head_at"] == last["timestamp"]),
                ("head_hash", row["head_hash"] in self._links),
                ("xid", row["xid"] == last["xid"]),
            )
            if not right
        ]
        if wrong:
            self._find(
                "head", f"{', '.join(wrong)} of the state row differ from the last event", last
            )
        self._check_state(row)

    def _check_state(self, row: Row) -> None:
        if self._state is None or self._aggregate_type is None or not self._whole:
            return
        if NAME_OF[self._aggregate_type.name](self._state) != self.name:
            self._find("identity", "the state claims another identity than its name", self._last)
        if wrong := differing_columns(self._aggregate_type, row, self._state):
            self.is_judged = not self.findings and PROSE.issuperset(wrong)
            what = f"{', '.join(wrong)} of the state row differ from the fold of the events"
            self._find("state", what, self._last)
