"""What must hold when all sagas have ended, whatever went wrong on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString

from temporalio.client import Client

from tests.support.driver import Json, saga_of
from tests.support.probe import Probe

OPEN: LiteralString = """
    SELECT count(*) AS n FROM ledger.sagas
    WHERE state NOT IN ('completed', 'compensated', 'failed')"""
UNDECIDED: LiteralString = """
    SELECT count(*) AS n FROM ledger.saga_steps WHERE state IN ('started', 'unknown')"""
HELD: LiteralString = """
    SELECT count(*) AS n FROM ledger.authorizations
    WHERE state IN ('pending_approval', 'approved', 'capturing')"""
CAPTURED: LiteralString = """
    SELECT agent_id, sum(captured_minor)::bigint AS minor FROM ledger.authorizations
    WHERE state = 'captured' GROUP BY agent_id"""
SPENT: LiteralString = """
    SELECT agent_id, sum(amount_minor)::bigint AS minor FROM ledger.spend_windows
    WHERE amount_minor <> 0 AND period = 'total' GROUP BY agent_id"""
TWICE: LiteralString = """
    SELECT count(*) AS n FROM (
        SELECT aggregate FROM ledger.event_log
        WHERE event_type IN ('SagaStarted', 'SagaCompleted', 'AuthorizationCaptured',
                             'TransferExecuted', 'TransferReversed')
        GROUP BY aggregate, event_type HAVING count(*) > 1) AS twice"""
REFUNDED: LiteralString = """
    SELECT agent_id, sum(refund.amount_minor)::bigint AS minor FROM ledger.refunds AS refund
    JOIN ledger.authorizations USING (authorization_id)
    WHERE refund.state = 'executed' GROUP BY agent_id"""
MOVED: LiteralString = """
    SELECT coalesce(refund_of, key) AS key,
        CASE WHEN refund_of IS NULL THEN amount_minor ELSE -amount_minor END AS minor
    FROM mock_bank.transfers WHERE status = 'executed'"""


@dataclass(frozen=True)
class Law:
    """A sentence, what was found, and whether it holds."""

    sentence: str
    found: str
    holds: bool


async def laws(probe: Probe, client: Client, queue: str, requests: list[Json]) -> list[Law]:
    """All of them, over the payments that were asked for."""
    agents = {saga_of(request): str(request["agent_id"]) for request in requests}
    moved: dict[str, int] = {}
    for row in await probe.bank(MOVED):
        moved[agents[row["key"]]] = moved.get(agents[row["key"]], 0) + row["minor"]
    captured = {row["agent_id"]: row["minor"] for row in await probe.ledger(CAPTURED)}
    refunded = {row["agent_id"]: row["minor"] for row in await probe.ledger(REFUNDED)}
    kept = {agent: minor - refunded.get(agent, 0) for agent, minor in captured.items()}
    spent = {row["agent_id"]: row["minor"] for row in await probe.ledger(SPENT)}
    running = await client.count_workflows(f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'")
    return [
        Law(
            "the money that the bank moved is the money captured and not refunded in the ledger, "
            "for each agent",
            f"{_sum(moved)} and {_sum(kept)}, {len(moved)} agents, {_sum(refunded)} refunded",
            moved == kept,
        ),
        Law(
            "what agents have spent is what was captured: no reservation is left",
            f"{_sum(spent)} and {_sum(captured)}",
            spent == captured,
        ),
        await _none(probe, "no saga is open in the ledger", OPEN),
        Law("no saga is open in Temporal", str(running.count), running.count == 0),
        await _none(probe, "no step is without an outcome", UNDECIDED),
        await _none(probe, "no authorization is held", HELD),
        await _none(probe, "nothing happened twice", TWICE),
        await _checked(probe),
    ]


async def _none(probe: Probe, sentence: str, query: LiteralString) -> Law:
    [row] = await probe.ledger(query)
    return Law(sentence, str(row["n"]), row["n"] == 0)


async def _checked(probe: Probe) -> Law:
    sentence = "`verify` finds nothing, and the bank's books are the ledger's, transfer by transfer"
    try:
        await probe.check()
    except AssertionError as error:
        return Law(sentence, str(error)[:500], False)
    return Law(sentence, f"{await probe.size():,} events", True)


def _sum(by_agent: Mapping[str, int]) -> str:
    return f"{sum(by_agent.values()) / 100:,.2f}"
