"""What must be true of a saga after it was crashed, however it ended.

Read by SQL, past all of our readers: the ledger as its auditor sees it, the tables of the bank, the
target server. Each law that is broken is one sentence.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import LiteralString

from temporalio.client import WorkflowFailureError

from tests.crash.adjacent_saga import NAMES
from tests.crash.ground import Ground
from tests.crash.orders import FROZEN, TWICE
from tests.crash.scenario import Scenario
from tests.support.driver import Handle, Json

# What may be told more than once of one aggregate in one saga. A resource is claimed for a change
# and again for its undo.
TOLD_AGAIN = {"SagaCommitRefused", "SagaDuplicateReceived", "ResourceChangeStarted"}
# And of one that is captured in parts, each of which has a transfer of its own, which is told once.
TOLD_OF_PARTS = {
    *("AuthorizationPartStarted", "AuthorizationPartCaptured"),
    *("SagaWaitStarted", "SagaWaitEnded"),
}
HELD = ("started", "unknown")


@dataclass(frozen=True)
class Ended:
    """How Temporal says that a saga ended: its result, or the type of its failure."""

    state: str
    result: Json | None
    failure: str | None

    @classmethod
    async def of(cls, handle: Handle) -> "Ended":
        """Wait for the end of a saga."""
        try:
            result = await handle.result()
        except WorkflowFailureError as failed:
            cause = failed.cause
            return cls("failed", None, getattr(cause, "type", None) or type(cause).__name__)
        return cls(result["state"], result, None)


@dataclass(frozen=True)
class Case:
    """A saga that has ended, and what had befallen it."""

    ground: Ground
    scenario: Scenario
    prefix: str
    faults: frozenset[str]
    ended: Ended

    @property
    def saga_id(self) -> str:
        return self.scenario.saga_id(self.prefix)


async def broken(case: Case) -> list[str]:
    """The laws that are broken, each as a sentence."""
    found = [*_ends(case)]
    for law in (_record, _steps, _events, _money, _refunds, _things, _agents):
        found += [each async for each in law(case)]
    return found


def _ends(case: Case) -> Iterator[str]:
    if case.ended.state not in case.scenario.ends:
        yield f"ended as {case.ended.state} ({case.ended.failure}), not {case.scenario.ends}"


async def _record(case: Case) -> AsyncIterator[str]:
    """The saga is closed in the ledger, with the result that Temporal has."""
    rows = await case.ground.ask("SELECT * FROM ledger.sagas WHERE workflow_id = %s", case.saga_id)
    if len(rows) != 1:
        yield f"the ledger has {len(rows)} sagas of this name"
        return
    (saga,) = rows
    if saga["state"] not in ("completed", "compensated", "failed"):
        yield f"the ledger says that it is {saga['state']}"
    elif case.ended.failure is not None:
        told = (saga["state"], (saga["result"] or {}).get("reason"))
        if told != ("failed", case.ended.failure):
            yield f"the ledger says {told}, Temporal failed with {case.ended.failure}"
    elif saga["result"] != case.ended.result:
        yield "the ledger has another result than Temporal"


async def _steps(case: Case) -> AsyncIterator[str]:
    """Each step has an outcome, and of a saga that was undone none is left standing."""
    steps = await case.ground.ask(
        "SELECT s.*, g.state AS saga FROM ledger.saga_steps s"
        " JOIN ledger.sagas g ON g.workflow_id = s.saga_id WHERE s.saga_id = %s",
        case.saga_id,
    )
    for step in steps:
        undone = step["saga"] in ("compensated", "failed")
        if step["state"] in HELD or (undone and step["undo"] and step["state"] == "done"):
            yield f"step {step['name']} is {step['state']} in a saga that is {step['saga']}"


async def _events(case: Case) -> AsyncIterator[str]:
    """Each event is told once."""
    rows = await case.ground.ask(
        "SELECT aggregate, event_type FROM ledger.event_log WHERE saga_id = %s", case.saga_id
    )
    in_parts = any(row["event_type"] == "AuthorizationPartStarted" for row in rows)
    again = TOLD_AGAIN | (TOLD_OF_PARTS if in_parts else set())
    for (aggregate, told), times in Counter(tuple(row.values()) for row in rows).items():
        if times > 1 and told not in again:
            yield f"{told} of {aggregate.replace(case.prefix, '')} was told {times} times"
    if case.scenario.kind in ("agent", "policy"):
        # It is new, so nobody else has told of it.
        aggregate = f"{case.scenario.kind}/{case.prefix}bot"
        rows = await case.ground.ask(_OF_AGGREGATE, aggregate)
        if len(rows) != 1:
            yield f"{len(rows)} events of a new {case.scenario.kind}"


_OF_AGGREGATE: LiteralString = "SELECT event_type FROM ledger.event_log WHERE aggregate = %s"


async def _money(case: Case) -> AsyncIterator[str]:
    """What the bank did, the ledger has; it was sent once; nothing stays reserved."""
    if case.scenario.kind != "payment":
        return
    captured = case.ended.state == "captured"
    # Where a person gives up its undo, the money is gone as well.
    kept = bool((case.ended.result or {}).get("residuals"))
    gone = captured or kept
    booked = await case.ground.ask_bank(
        "SELECT * FROM mock_bank.transfers WHERE key = %s OR starts_with(key, %s) ORDER BY key",
        *(case.saga_id, f"{case.saga_id}#"),
    )
    ours = await case.ground.ask(
        "SELECT * FROM ledger.transfers WHERE saga_id = %s ORDER BY key", case.saga_id
    )
    theirs = [(row["status"], row["reference"]) for row in booked]
    known = [(row["state"], row["reference"]) for row in ours]
    # What nobody knew when it was given up stays so.
    if known != theirs and not (kept and known == [("started", None)]):
        yield f"the bank has {[row['status'] for row in booked]}, the ledger does not"
    if ("executed" in [row["status"] for row in booked]) != gone:
        yield f"the bank has {[row['status'] for row in booked]} of a payment {case.ended.state}"
    # Who wakes behind his last look sends it again, under the same key; nobody else may.
    sent = max((row["deliveries"] for row in booked), default=0)
    if sent > (1 if case.faults.isdisjoint((FROZEN, TWICE)) else 2):
        yield f"the order was sent {sent} times"
    windows = await case.ground.ask(
        "SELECT amount_minor, count FROM ledger.spend_windows WHERE agent_id = %s"
        " AND period = 'total'",
        f"{case.prefix}bot",
    )
    (asked,) = await case.ground.ask(
        "SELECT coalesce(sum(CASE state WHEN 'captured' THEN captured_minor"
        " ELSE amount_minor END), 0) AS amount_minor, count(*) AS count"
        " FROM ledger.authorizations WHERE saga_id = %s AND (state = 'captured' OR %s)",
        *(case.saga_id, kept),
    )
    spent = [sum(row[name] for row in windows) for name in ("amount_minor", "count")]
    if spent != [asked["amount_minor"], asked["count"]] or bool(asked["count"]) != gone:
        yield f"{spent} are reserved or spent, {[*asked.values()]} captured or gone"


async def _refunds(case: Case) -> AsyncIterator[str]:
    """What the bank sent back, the ledger has; it was sent once; nothing stays reserved."""
    if case.scenario.kind != "refund":
        return
    booked = await case.ground.ask_bank(
        "SELECT * FROM mock_bank.transfers WHERE key = %s", case.saga_id
    )
    theirs = [row["amount_minor"] for row in booked if row["status"] == "executed"]
    [ours] = await case.ground.ask(
        "SELECT paid.refunded_minor, paid.refunding_minor FROM ledger.refunds back"
        " JOIN ledger.transfers paid USING (transfer_id) WHERE back.saga_id = %s",
        case.saga_id,
    )
    if [ours["refunded_minor"]] != (theirs or [0]) or ours["refunding_minor"]:
        yield f"the bank has sent {theirs} back, the ledger has {ours['refunded_minor']}"
    if bool(theirs) != (case.ended.state == "refunded"):
        yield f"the bank has sent {theirs} back of a refund {case.ended.state}"
    sent = sum(row["deliveries"] for row in booked)
    if sent > (1 if case.faults.isdisjoint((FROZEN, TWICE)) else 2):
        yield f"the refund was sent {sent} times"


async def _things(case: Case) -> AsyncIterator[str]:
    """The target holds what the ledger has, nobody claims it, and of what was undone nothing."""
    if case.scenario.room != "infrastructure":
        return
    environment = case.prefix.strip("-")
    known = await case.ground.ask(
        "SELECT name, state, claimed_by FROM ledger.resources WHERE environment = %s", environment
    )
    present = {row["name"] for row in known if row["state"] == "present"}
    real = await case.ground.target.names(case.prefix)
    if real != present:
        yield f"the target has {sorted(real)}, the ledger {sorted(present)}"
    for row in known:
        if row["claimed_by"]:
            yield f"{row['name']} is still claimed by {row['claimed_by']}"
    applied = case.ended.state == "applied" and case.scenario.kind == "change"
    if bool(present) != applied:
        yield f"{sorted(present)} are present after a {case.scenario.kind} {case.ended.state}"


async def _agents(case: Case) -> AsyncIterator[str]:
    """Adjacent steps are done in as many commits as were asked for, all of them or none."""
    if case.scenario.commits is None:
        return
    (done,) = await case.ground.ask(
        "SELECT count(DISTINCT xid) AS commits FROM ledger.event_log"
        " WHERE saga_id = %s AND event_type = 'StepCommitted'",
        case.saga_id,
    )
    if done["commits"] != case.scenario.commits:
        yield f"its steps are done in {done['commits']} commits, not {case.scenario.commits}"
    active = await case.ground.ask(
        "SELECT agent_id FROM ledger.agents WHERE starts_with(agent_id, %s) AND state = 'active'",
        case.prefix,
    )
    if len(active) != (len(NAMES) if case.ended.state == "registered" else 0):
        yield f"{len(active)} agents are active of a saga that is {case.ended.state}"
