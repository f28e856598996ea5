"""What must not be taken away: each mutation takes one guard out of a worker of the explorer.

With any of them the explorer has to report broken laws; that is what shows that it looks.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from activities import agents, authorizations
from activities import orphans as lost_sagas
from activities.adapters.mock import MockBank
from activities.adapters.payment import TransferReport
from ledger.aggregates.saga import SagaState
from ledger.sagas import step_log as step_claims
from ledger.sagas.orphans import declare_lost
from ledger.sagas.saga_log import Compensation
from ledger.sagas.step_log import StepClaim
from ledger.sagas.together import Together, Work
from tests.crash.orders import ANSWER_LOST, FROZEN, KILL
from tests.crash.patching import put
from worker import sandbox
from workflows.engine import execution
from workflows.engine.compensation import compensate
from workflows.engine.saga import Saga


@dataclass(frozen=True)
class Mutation:
    """One guard less, the point (scenario, place, fault) at which that has to be seen, and part of
    the sentence of the law that it breaks."""

    apply: Callable[[], None]
    point: tuple[str, str, str]
    law: str


def _no_fence() -> None:
    put(step_claims, "_fence", lambda *_: None)


def _no_stored_result() -> None:
    """A repeat finds no step that was done: it carries the step out again."""
    commit_step = step_claims.commit_step

    async def forgetful(
        database: Any, author: Any, claim: StepClaim, refs: Any, decide: Any, **more: Any
    ) -> Any:
        # The step of an attempt has a name that no other attempt knows.
        claim = replace(claim, step=f"{claim.step} {uuid4().hex[:6]}")
        return await commit_step(database, author, claim, refs, decide, **more)

    for room in (agents, authorizations):
        put(room, "commit_step", forgetful)


def _undo_from_memory() -> None:
    """The saga undoes what it saw succeed, instead of what the ledger says was started."""
    # The real modules in the sandbox, so that the patch is in them.
    put(sandbox, "PASSED_THROUGH", (*sandbox.PASSED_THROUGH, "workflows.engine"))
    watch = Saga._watch

    async def remembering(saga: Any, claim: Any, work: Any) -> Any:
        answer = await watch(saga, claim, work)
        saga.remembered = {*getattr(saga, "remembered", ()), claim.step}
        return answer

    async def from_memory(saga: Any, why: Any, by: Any) -> Compensation:
        ours = saga.ours

        async def forgetting(activity: Any, *args: Any, **more: Any) -> Any:
            answer = await ours(activity, *args, **more)
            if isinstance(answer, Compensation):
                known = getattr(saga, "remembered", ())
                steps = [step for step in answer.steps if step.name in known]
                answer = answer.model_copy(update={"steps": steps})
            return answer

        saga.ours = forgetting
        return await compensate(saga, why, by)

    put(Saga, "_watch", remembering)
    put(execution, "compensate", from_memory)


def _no_probe() -> None:
    """Whoever finds a call without an outcome sends it again, and does not look before."""

    async def finds_nothing(bank: MockBank, key: str) -> None:
        return None

    put(MockBank, "find", finds_nothing)


def _no_cancel_of_the_key() -> None:
    """The undo of a transfer that never arrived believes that it never will."""
    reverse = MockBank.reverse

    async def believing(bank: MockBank, key: str) -> TransferReport:
        if await bank._look_up(key) is None:
            return TransferReport(key, "cancelled", None, "cancelled", None, None, None)
        return await reverse(bank, key)

    put(MockBank, "reverse", believing)


def _undone_again() -> None:
    """An undo does not see that it was done: it gives back once more."""
    put(step_claims, "ENDED", frozenset())


def _never_forward() -> None:
    """A saga that was lost is undone, also past the step after which it goes forward."""

    declare: Callable[..., Awaitable[SagaState]] = declare_lost

    async def compensating(*lost: Any) -> SagaState:
        *of_what, _ = lost
        return await declare(*of_what, None)

    put(lost_sagas, "declare_lost", compensating)


def _fold_in_halves() -> None:
    """The steps of one commit are written in two."""
    whole = Together._commit

    async def in_halves(together: Together, works: Sequence[Work]) -> list[dict[str, Any]]:
        half = len(works) // 2
        return [
            *await whole(together, works[:half]),
            *await whole(together, works[half:]),
        ]

    put(Together, "_commit", in_halves)


MUTATIONS: dict[str, Mutation] = {
    "the fence removed": Mutation(
        _no_fence,
        ("change cancelled at the fault", "before commit create a: StepStarted", FROZEN),
        "is done in a saga that is failed",
    ),
    "the stored result removed": Mutation(
        _no_stored_result,
        ("policy set", "after commit set policy: StepCommitted", KILL),
        "PolicySet of policy/bot was told 2 times",
    ),
    "the undo read from memory": Mutation(
        _undo_from_memory,
        ("payment cancelled at the fault", "after bank transfer", KILL),
        "execute transfer is started in a saga that is compensated",
    ),
    "the probe removed": Mutation(
        _no_probe, ("payment captured", "after bank transfer", KILL), "the order was sent 2 times"
    ),
    "the key not cancelled": Mutation(
        _no_cancel_of_the_key,
        ("payment cancelled at the fault", "before bank transfer", FROZEN),
        "the bank has ['executed'], the ledger does not",
    ),
    "the undo not seen to be done": Mutation(
        _undone_again,
        ("payment refused by the bank", "after commit authorize: StepUndone", ANSWER_LOST),
        # The table of transitions stands behind it: the second undo is refused, and nothing more.
        "ended as failed (IllegalTransition)",
    ),
    "the way forward removed": Mutation(
        _never_forward,
        ("payment lost past its transfer", "before activity declare_lost_saga", KILL),
        "ended as compensated (None), not ('captured',)",
    ),
    "the commit of adjacent steps in halves": Mutation(
        _fold_in_halves,
        ("steps in one commit", "after commit c: SagaCompleted", KILL),
        "its steps are done in 2 commits, not 1",
    ),
}
