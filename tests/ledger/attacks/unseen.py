"""Lies of a worker that nobody can see: as listed in docs/guarantees.md, each with one."""

from dataclasses import dataclass

from ledger.aggregates import agent, authorization, policy, saga, saga_step, transfer
from tests.ledger.attacks.raw import event, row
from tests.ledger.attacks.stories import Change, Payment, Told, spend
from tests.ledger.samples import HASH, NOON


@dataclass(frozen=True)
class Unseen:
    """What is true first, and the lie; or the statements of a transaction that is open since before
    the lie, and ends after it."""

    first: Told
    lie: Told
    statements: tuple[str, ...] = ()


def _payment(number: int) -> Payment:
    return Payment(f"unseen-{number}")


def _money() -> dict[str, Unseen]:
    asked, moving, voided = _payment(1), _payment(2), _payment(3)
    [(hold, released)] = voided.released()
    by_ana = authorization.AuthorizationApproved(
        automatic=False, spend=[], binding="of another amount", reason="the invoice is right"
    )
    executed = transfer.TransferExecuted(reference="M-0")
    return {
        "A consistent payment (saga, steps, authorization, transfer, spend) without any payment at "
        "the bank": Unseen([], _payment(0).captured()),
        "A payment against the policy: over a limit, of an unknown agent, or with invented inputs "
        "of the decision": Unseen([], _payment(4).authorized()),
        "An approval without a person, or for another amount (`binding`)": Unseen(
            asked.asked(), [(asked.hold, by_ana)]
        ),
        "The author, the context and the reason of an event": Unseen(
            [*voided.authorized(), *voided.turned()],
            [(hold, released.changed(reason="user:ana said so"))],
        ),
        "The reference and the reason of a transfer": Unseen(
            moving.capturing(), [(moving.transfer, executed)]
        ),
    }


def _sagas() -> dict[str, Unseen]:
    lost, begun, late = _payment(5), _payment(6), _payment(7)
    step, claim = late.step("late"), late.claim("late", 2)
    done = saga_step.StepDone(result={"of": "nothing"})
    after = (
        event(step, 2, done),
        row(step, 2, {"state": "'done'", "result": '\'{"of": "nothing"}\''}),
    )
    transfers = saga_step.StepStarted(deadline=NOON, facts=None, **begun.claim("transfer", 2))
    waits = saga.SagaWaitStarted(waits_for="capture", waits_on="user", since=NOON)
    skipped = saga_step.StepSkipped(residual="nothing of it was ever done", tries=3)
    undone = _payment(8)
    return {
        "The request, the run and the namespace of a saga": Unseen(
            [],
            _payment(9).started(
                input={"operation_id": "of nobody"}, run_id="of nobody", namespace="elsewhere"
            ),
        ),
        "A claimed operation id without a request: the next sweep compensates the saga, and the id "
        "stays claimed": Unseen([], _payment(10).started()),
        "The loss, the compensation or the wait of a running saga": Unseen(
            lost.authorized(),
            [
                (lost.saga, saga.SagaLost(run_id="run-1", epoch=2, found="terminated")),
                (lost.saga, waits),
                *lost.turned(epoch=3),
            ],
        ),
        "The input, the undo plan, the deadline, the facts and the result of a step": Unseen(
            _payment(11).started(),
            _payment(11).took("authorize", 1, undo=None, input_hash="of nothing"),
        ),
        "An outcome without an answer of the external system: a step done, refused, failed, undone "
        "or skipped": Unseen(
            [*undone.started(), *undone.took("a", 1), *undone.turned()],
            [(undone.step("a"), skipped)],
        ),
        "A started step without an external call": Unseen(
            begun.authorized(), [(begun.step("transfer"), transfers)]
        ),
        "The times in a payload (`requested_at`, `started_at`, `ended_at`)": Unseen(
            [], _payment(12).started(started_at=NOON.replace(year=2020))
        ),
        "Repeats and refusals of requests": Unseen(
            _payment(13).started(),
            [(_payment(13).saga, saga.SagaDuplicateReceived(repeat="run-9"))],
        ),
        "A step written up to 5 s after the end of the saga, in a transaction from before the "
        "end": Unseen(
            [
                *late.denied(),
                (step, saga_step.StepStarted(deadline=NOON, facts=None, **claim)),
            ],
            late.completed("denied"),
            after,
        ),
    }


def _others() -> dict[str, Unseen]:
    change = Change("unseen")
    made = [*change.started(), *change.claimed(), *change.made(), *change.ended()]
    amounts = ("max_per_transaction_minor", "daily_limit_minor", "approval_threshold_minor")
    fields = {"agent_id": "unseen", "currency": "ARS", "time_zone": "UTC"}
    rules = policy.PolicySet.read(fields | dict.fromkeys(amounts, 7))
    name = policy.policy_name("unseen")
    idle = Payment("unseen-idle")
    idle.id, idle.saga = "agent/unseen-idle", "saga/agent/unseen-idle"
    claimed = idle.started(kind="agent")
    return {
        "A saga of an agent, a policy or a change without the effect": Unseen(
            [], [*claimed, *idle.took("change agent", 1), *idle.completed("registered")]
        ),
        "An agent or a policy without a user's command": Unseen(
            [],
            [
                ("agent/unseen", agent.AgentRegistered(agent_id="unseen", user="user:ana")),
                (name, rules),
            ],
        ),
        "A resource without the work of a provider: made, altered or deleted": Unseen([], made),
    }


def _beside() -> dict[str, Unseen]:
    adapter, kept, tried, expires = (_payment(number) for number in range(20, 24))
    orphaned, refused, colon = _payment(24), _payment(25), Payment("unseen:x")
    asker, other = Change("unseen-asker"), Change("unseen-unasked")
    hold, end = kept.hold, authorization.AuthorizationCompensated(spend=[])
    wanted = authorization.ApprovalRequested(
        spend=spend(expires.agent), expires_at=NOON.replace(year=2999), binding=HASH
    )
    delayed = saga_step.StepUndoDelayed(reason="late", epoch=2**31 - 1, tries=2**31 - 1)
    lost = saga.SagaLost(run_id="run-1", epoch=2, found="terminated")
    settled = [each for each in orphaned.settled() if each[0] != orphaned.step("settle")]
    return {
        "The adapter of a transfer": Unseen([], adapter.captured(adapter="of nobody")),
        "An undo without the effect: the step says undone, and the transfer executed": Unseen(
            [*kept.executed(), *kept.turned()],
            [
                (hold, end),
                *kept.undone("transfer", "authorize"),
                *kept.ended(saga.SagaCompensated, "compensated"),
            ],
        ),
        "The outcome of a step against the outcome of the transfer: done, and the transfer "
        "refused": Unseen(
            refused.capturing(),
            [
                (refused.transfer, transfer.TransferRefused(reason="closed")),
                (refused.step("transfer"), saga_step.StepDone(result={})),
            ],
        ),
        "The tries of an undo": Unseen(
            [*tried.authorized(), *tried.turned()], [(tried.step("authorize"), delayed)]
        ),
        "The end of an orphaned saga without a recovery": Unseen(
            orphaned.executed(), [(orphaned.saga, lost), *settled]
        ),
        "An expiry before the deadline": Unseen(
            [
                *expires.started(),
                *expires.requested(),
                (expires.hold, wanted),
                *expires.took("authorize", 1),
                *expires.turned(),
            ],
            expires.released(authorization.AuthorizationExpired),
        ),
        "An operation id with dots, taken by a saga with colons in place of the dots": Unseen(
            [], colon.started(operation_id="unseen.x")
        ),
        "A claim or a change of a resource by a change without a request for the resource": Unseen(
            asker.started(), other.claimed(by=asker.id)
        ),
    }


UNSEEN = {**_money(), **_sagas(), **_others(), **_beside()}
