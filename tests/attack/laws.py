"""What must be true when all is over, read by SQL and nothing else: no code of the product is used
here, nor of other tests that read for it.

Each law is a sentence and gives the names of whatever breaks it.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection

from tests.support.hash_link import COLUMNS, link, sha256

Row = dict[str, Any]
STATES = ("sagas", "saga_steps", "authorizations", "transfers", "agents", "policies", "resources")
# What a saga may have on record behind its end: that somebody asked or tried again.
AFTERWARDS = ("SagaDuplicateReceived", "SagaReuseRefused", "SagaCommitRefused")
ENDS = ("SagaCompleted", "SagaCompensated", "SagaFailed")
# What may be told of one aggregate in one saga more than once.
TOLD_AGAIN = (
    *(*AFTERWARDS, "ResourceChangeStarted", "SagaTakenOver", "SagaLost", "SagaCompensating"),
    *("SagaRunClosed", "SagaRunPaused", "SagaRunResumed"),
)


@dataclass(frozen=True)
class Scene:
    """All that is looked at: the ledger, the bank, the target, and what the clients were told:
    result by saga, and the failures by saga."""

    ledger: AsyncConnection[Row]
    bank: AsyncConnection[Row]
    target: AsyncConnection[Row]
    results: Mapping[str, Row] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    # The prefix of all names that sagas make on the target.
    prefix: str = "attacked-"


Law = Callable[[Scene], AsyncIterator[str]]
LAWS: dict[str, Law] = {}


def law(sentence: str) -> Callable[[Law], Law]:
    def named(found: Law) -> Law:
        LAWS[sentence] = found
        return found

    return named


async def broken(scene: Scene) -> dict[str, list[str]]:
    """What breaks each law, by its sentence; of those that hold nothing."""
    found = {sentence: [each async for each in check(scene)] for sentence, check in LAWS.items()}
    return {sentence: names for sentence, names in found.items() if names}


async def ask(connection: AsyncConnection[Row], query: str, *values: object) -> list[Row]:
    return await (await connection.execute(query.encode(), values or None)).fetchall()


async def _names(rows: Awaitable[list[Row]]) -> AsyncIterator[str]:
    for row in await rows:
        yield " ".join(str(value) for value in row.values())


@law("the versions of an aggregate are 1 to n, and its positions ascend with them")
async def versions(scene: Scene) -> AsyncIterator[str]:
    query = """
        SELECT aggregate FROM (
            SELECT aggregate, version, row_number() OVER (
                PARTITION BY aggregate_id ORDER BY position) AS place
            FROM ledger.event_log) AS placed
        WHERE version <> place GROUP BY aggregate"""
    async for name in _names(ask(scene.ledger, query)):
        yield name


@law("the hash of each event is that of its content and of the event before it")
async def hashes(scene: Scene) -> AsyncIterator[str]:
    columns = ", ".join(f'"{name}"' for name in COLUMNS)
    rows = await ask(
        scene.ledger, f"SELECT {columns}, hash FROM ledger.event_log ORDER BY aggregate_id, version"
    )
    heads: dict[Any, bytes] = {}
    for row in rows:
        stored = row.pop("hash")
        before = heads.get(row["aggregate_id"], bytes(32)).hex()
        if stored != sha256(link(before, row)):
            yield f"{row['aggregate']} {row['version']}"
        heads[row["aggregate_id"]] = stored


@law("each state row stands at the last event of its aggregate, and each aggregate has one")
async def rows_of_events(scene: Scene) -> AsyncIterator[str]:
    rows = " UNION ALL ".join(
        f"SELECT aggregate_id, aggregate, version, head_hash FROM ledger.{table}"
        for table in STATES
    )
    query = f"""
        WITH heads AS (
            SELECT DISTINCT ON (aggregate_id) aggregate_id, aggregate, version, hash
            FROM ledger.event_log ORDER BY aggregate_id, version DESC)
        SELECT coalesce(heads.aggregate, rows.aggregate)
        FROM heads FULL JOIN ({rows}) AS rows USING (aggregate_id)
        WHERE heads.aggregate IS DISTINCT FROM rows.aggregate
           OR heads.version IS DISTINCT FROM rows.version
           OR heads.hash IS DISTINCT FROM rows.head_hash"""
    async for name in _names(ask(scene.ledger, query)):
        yield name


@law("each event names its author and, but for none, a saga that is there")
async def authors(scene: Scene) -> AsyncIterator[str]:
    query = """
        SELECT aggregate, version FROM ledger.event_log AS e
        WHERE user_id !~ '^(user|agent|system):.' OR saga_id IS NULL
           OR NOT EXISTS (SELECT FROM ledger.sagas AS s WHERE s.workflow_id = e.saga_id)"""
    async for name in _names(ask(scene.ledger, query)):
        yield name


@law("every saga has ended, as one of its events says, and nothing happened in it afterwards")
async def ends(scene: Scene) -> AsyncIterator[str]:
    query = """
        SELECT s.workflow_id, s.state FROM ledger.sagas AS s
        LEFT JOIN LATERAL (
            SELECT max(position) AS at, count(*) AS ends,
                max(lower(substr(event_type, 5))) AS state
            FROM ledger.event_log WHERE aggregate_id = s.aggregate_id AND event_type = ANY(%s)
        ) AS ended ON true
        WHERE ended.ends <> 1 OR ended.state IS DISTINCT FROM s.state OR EXISTS (
            SELECT FROM ledger.event_log AS e WHERE e.saga_id = s.workflow_id
            AND e.position > ended.at AND e.event_type <> ALL(%s)
            -- What a commit tells beside the end stands in it.
            AND e.xid <> (SELECT xid FROM ledger.event_log WHERE position = ended.at))"""
    async for name in _names(ask(scene.ledger, query, [*ENDS], [*AFTERWARDS])):
        yield name


@law("nothing is told twice in a saga")
async def once(scene: Scene) -> AsyncIterator[str]:
    query = """
        SELECT aggregate, event_type, count(*) FROM ledger.event_log
        WHERE event_type <> ALL(%s) GROUP BY saga_id, aggregate, event_type HAVING count(*) > 1"""
    async for name in _names(ask(scene.ledger, query, [*TOLD_AGAIN])):
        yield name


@law("no step is without an outcome, and of a saga that was undone none is left standing")
async def steps(scene: Scene) -> AsyncIterator[str]:
    query = """
        SELECT t.saga_id, t.name, t.state FROM ledger.saga_steps AS t
        LEFT JOIN ledger.sagas AS s ON s.workflow_id = t.saga_id
        WHERE t.state IN ('started', 'unknown') OR s.state IS NULL
           OR (s.state IN ('compensated', 'failed') AND t.state = 'done' AND t.undo IS NOT NULL)
           OR (s.state = 'completed' AND t.state IN ('undone', 'failed'))"""
    async for name in _names(ask(scene.ledger, query)):
        yield name


@law("a captured payment has its transfer, of its amount; any other has none that moved money")
async def transfers(scene: Scene) -> AsyncIterator[str]:
    query = """
        SELECT a.saga_id, a.state FROM ledger.authorizations AS a
        LEFT JOIN ledger.transfers AS t
            ON t.authorization_id = a.authorization_id AND t.state = 'executed'
        WHERE (a.state = 'captured') <> (t.transfer_id IS NOT NULL)
           OR (t.transfer_id IS NOT NULL AND (t.amount_minor, t.currency, t.saga_id)
               IS DISTINCT FROM (a.amount_minor, a.currency, a.saga_id))
        UNION ALL
        SELECT t.saga_id, t.state FROM ledger.transfers AS t
        LEFT JOIN ledger.authorizations AS a USING (authorization_id) WHERE a.saga_id IS NULL
        UNION ALL
        SELECT saga_id, state FROM ledger.authorizations
        WHERE state IN ('pending_approval', 'approved', 'capturing')"""
    async for name in _names(ask(scene.ledger, query)):
        yield name


@law("what an agent has spent in each of its windows is what was captured in it")
async def spend(scene: Scene) -> AsyncIterator[str]:
    query = """
        WITH captured AS (
            SELECT agent_id, currency, sum(amount_minor) AS minor, count(*) AS count
            FROM ledger.authorizations WHERE state = 'captured' GROUP BY agent_id, currency),
        spent AS (
            SELECT agent_id, currency, period, sum(amount_minor) AS minor, sum(count) AS count
            FROM ledger.spend_windows GROUP BY agent_id, currency, period)
        SELECT coalesce(spent.agent_id, captured.agent_id), spent.period
        FROM captured FULL JOIN spent USING (agent_id, currency)
        WHERE (coalesce(captured.minor, 0), coalesce(captured.count, 0))
            <> (coalesce(spent.minor, 0), coalesce(spent.count, 0))"""
    async for name in _names(ask(scene.ledger, query)):
        yield name


@law("the bank moved what was captured and nothing else, each payment once")
async def money(scene: Scene) -> AsyncIterator[str]:
    captured = await ask(
        scene.ledger,
        "SELECT a.saga_id, a.amount_minor, a.currency, a.destination, t.reference "
        "FROM ledger.authorizations AS a JOIN ledger.transfers AS t USING (authorization_id) "
        "WHERE a.state = 'captured'",
    )
    moved = await ask(
        scene.bank,
        "SELECT key, amount_minor, currency, destination, reference "
        "FROM mock_bank.transfers WHERE status = 'executed'",
    )
    ours = {(row["saga_id"], row["amount_minor"], row["currency"]) for row in captured}
    theirs = {(row["key"], row["amount_minor"], row["currency"]) for row in moved}
    for key, *_ in sorted(ours ^ theirs):
        yield key
    references = Counter(row["reference"] for row in [*captured, *moved])
    for reference, times in references.items():
        if times != 2:
            yield f"reference {reference}"


@law("the target holds the resources that are present, and nobody claims one")
async def things(scene: Scene) -> AsyncIterator[str]:
    known = await ask(
        scene.ledger, "SELECT name, state, claimed_by FROM ledger.resources WHERE kind LIKE '%role'"
    )
    roles = await ask(
        scene.target, "SELECT rolname FROM pg_roles WHERE rolname LIKE %s", scene.prefix + "%"
    )
    present = {row["name"] for row in known if row["state"] == "present"}
    for name in sorted(present ^ {row["rolname"] for row in roles}):
        yield name
    for row in known:
        if row["claimed_by"] is not None:
            yield f"{row['name']} is claimed by {row['claimed_by']}"


@law("a saga ended with the result that its client was told, and one that failed moved nothing")
async def answers(scene: Scene) -> AsyncIterator[str]:
    rows = await ask(scene.ledger, "SELECT workflow_id, state, result FROM ledger.sagas")
    known = {row["workflow_id"]: row for row in rows}
    for saga_id, result in scene.results.items():
        if saga_id not in known or known[saga_id]["result"] != result:
            yield f"{saga_id} was told another result"
    for saga_id, failure in scene.failures.items():
        if saga_id in known and (state := known[saga_id]["state"]) != "failed":
            yield f"{saga_id} failed with {failure}, and is {state}"
