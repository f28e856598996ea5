"""The interface between a story and its saga: steps, external calls, waits, and the pivot.

A story is made of steps (`step`: only our database) and calls (`call`: an external system), each
with its undo, which is recorded before an external system is called.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities import errors
from activities.step import Claim, Request
from activities.together import AdjacentSteps, TogetherActivities
from ledger.aggregates.saga_step import FOR_EVER, UndoPlan, UndoPolicy
from ledger.aggregates.step_report import UndoReport
from ledger.sagas.saga_log import Opened, Opening
from ledger.sagas.signatures import Signed
from ledger.sagas.step_log import SAGA_KNOWN
from ledger.words import summary_of
from workflows.contract.waits import ANY_USER, decision_wait
from workflows.engine.adjacent import Step
from workflows.engine.decisions import Asked, Inbox
from workflows.engine.in_doubt import TELL_WITHIN, until_known
from workflows.engine.lifecycle import Lifecycle, LifecycleEvent
from workflows.engine.record import SagaRecord
from workflows.engine.retry import persist
from workflows.engine.run import cause_of, heed_cancel, words_of

# Of a saga that is new.
FIRST_EPOCH = 1

Answer = TypeVar("Answer")
Activity = Callable[[Any, Claim, Any], Awaitable[Answer]]


class OpenedBefore(Exception):
    """The saga was opened without its first step: by another run, or alone. The story begins anew,
    with the request that is on record, or does not go on."""

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened.state)
        self.opened = opened


class Saga(SagaRecord):
    """One saga as its story sees it.

    `opening` is what its first step opens it with; `open` does that without a step.
    """

    def __init__(
        self, opening: Opening, subjects: list[str], lifecycle: Lifecycle, about: list[str]
    ) -> None:
        super().__init__(opening, subjects, lifecycle, about)
        # Whether the decision that whoever submitted waits for is on record.
        self.is_decided = False
        self.inbox = Inbox()
        # Whether the next step carries out the decision that the record says is waited for.
        self._ends_wait = False
        # The steps under way, by ordinal.
        self._running: list[int] = []

    def decided(self, decision: str | None = None, reason: str | None = None) -> None:
        """Release the answer of `submit`: the decision that it waits for is recorded."""
        self.is_decided = True
        self.show(decision=decision, reason=reason)

    def pivot(self) -> None:
        """Pass the pivot: a cancel comes too late, and a step that fails is tried again until it
        succeeds. Called after the `pivot_step` of the kind: what is left to do has no business
        reason to fail."""
        self.enter(LifecycleEvent.PIVOTED)

    def refuse_cancel(self) -> None:
        """Refuse every cancel from here on; a failure is still compensated."""
        self.enter(LifecycleEvent.CANCEL_REFUSED)

    async def person(
        self,
        waits_for: str,
        *,
        whom: str = ANY_USER,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Asked | None:
        """Wait for the next decision of a person, or of the actor `whom`; None when `until` has
        passed without one. The step before has recorded the wait, at `since`; the next one ends
        it."""
        since = since or workflow.now()
        self._wait = decision_wait(self.saga_id, waits_for, whom, since, until)
        self._ends_wait = True
        self.show()
        timeout = max((until - workflow.now()).total_seconds(), 0.0) if until else None
        try:
            await workflow.wait_condition(
                lambda: bool(self.inbox.waiting),
                timeout=timeout,
                timeout_summary=summary_of(f"deadline for {waits_for}"),
            )
        except TimeoutError:
            return None
        return self.inbox.take()

    def agree(self) -> None:
        """Agree to what was asked for, and stop waiting; repeats are welcome."""
        self.inbox.agree()
        self.go_on()

    def go_on(self) -> None:
        """Stop waiting, and answer nobody yet."""
        self._wait = None
        self.show()

    def stop_waiting(self, why: str) -> None:
        """Stop waiting for people: a decision that comes now is refused with `why`."""
        self._wait = None
        self.show()
        self.inbox.close(why)

    async def step(
        self,
        name: str,
        activity: Activity[Answer],
        request: Request,
        *,
        undo: Activity[UndoReport] | None = None,
        by: str | None = None,
        ending: dict[str, Any] | None = None,
    ) -> Answer:
        """Run a step that only touches our database: one commit, as a local activity.

        The first one opens the saga, and one with an `ending` closes it with that result, in the
        same commit. What the story asks of the request after its first step, it asks of
        `Story.as_admitted`, which reads the `admitted` of the answer. Raises OpenedBefore.
        """
        if not self.lifecycle.is_recorded:
            return await self._first_step(name, activity, request, undo, by, ending)
        ending = None if ending is None else self.told(ending)
        claim = self._next(name, request, undo, False, by).model_copy(update={"ending": ending})
        answer = await self._watch(claim, self._carry_out(activity, claim, request))
        self._is_ended(ending)
        return answer

    async def steps(
        self, *steps: Step, ending: dict[str, Any] | None = None, apart: bool = False
    ) -> list[Any]:
        """Run steps of which none needs the answer of another: each as `step` does, all in one
        commit, or `apart`, one after the other in a commit each. Where one of them is refused, they
        run as by `step`.

        Returns their answers. An `ending` closes the saga with the last.
        """
        answers = await self._together(steps, ending, apart)
        if answers is not None:
            return answers
        return [
            await self.step(
                *step[:3],
                undo=step.undo,
                by=step.by,
                ending=ending if number == len(steps) else None,
            )
            for number, step in enumerate(steps, 1)
        ]

    async def _together(
        self, steps: Sequence[Step], ending: dict[str, Any] | None, apart: bool
    ) -> list[Any] | None:
        first, before = not self.lifecycle.is_recorded, (self.ordinal, self._ends_wait)
        ending = None if ending is None else self.told(ending)
        claims = [self._next(each.name, each.request, each.undo, False, each.by) for each in steps]
        if first:
            claims = [claim.model_copy(update={"epoch": FIRST_EPOCH}) for claim in claims]
            claims[0] = claims[0].model_copy(update={"opening": self.opening})
        claims[-1] = claims[-1].model_copy(update={"ending": ending})
        for each in steps:
            self.mark(each.name, "running")
        asked = [step.beside(claim) for step, claim in zip(steps, claims, strict=True)]
        try:
            values = await self.ours(
                TogetherActivities.carry_out_steps,
                AdjacentSteps(steps=asked, apart=apart),
                summary=", ".join(each.name for each in steps),
                tries=errors.TRIES_AT_ONCE,
            )
        except ActivityError as error:
            # Told by a step apart, and on record by now; a first step finds out what it met.
            fenced = apart and not first and cause_of(error) == "Fenced"
            if is_cancelled_exception(error) or fenced:
                raise
            workflow.logger.warning("steps of one commit run one by one: %s", words_of(error))
            values = None
        if values is None:
            for each in steps:
                self.forget(each.name)
            self.ordinal, self._ends_wait = before
            heed_cancel()
            return None
        for each in steps:
            self.mark(each.name, "done")
        answers = [step.answer(value) for step, value in zip(steps, values, strict=True)]
        if first:
            self._is_opened(answers[0])
        self._is_ended(ending)
        heed_cancel()
        return answers

    async def _carry_out(
        self, activity: Activity[Answer], claim: Claim, request: Request
    ) -> Answer:
        def work(claim: Claim) -> Awaitable[Answer]:
            return self.ours(
                activity, claim, request, summary=claim.step, tries=errors.TRIES_AT_ONCE
            )

        return await persist(self, claim, work)

    async def _first_step(
        self,
        name: str,
        activity: Activity[Answer],
        request: Request,
        undo: Activity[UndoReport] | None,
        by: str | None,
        ending: dict[str, Any] | None,
    ) -> Answer:
        ending = None if ending is None else self.told(ending)
        claim = self._next(name, request, undo, False, by)
        changed = {"epoch": FIRST_EPOCH, "opening": self.opening, "ending": ending}
        claim = claim.model_copy(update=changed)
        try:
            answer = await self._watch(claim, self._carry_out(activity, claim, request))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            if cause_of(error) == SAGA_KNOWN:
                self.forget(claim.step)
            # Known, or the step is refused: a saga that only says so is opened alone.
            raise OpenedBefore(await self.open()) from error
        self._is_opened(answer)
        self._is_ended(ending)
        return answer

    def _is_opened(self, answer: Any) -> None:
        if not self.lifecycle.is_recorded:
            self.epoch = FIRST_EPOCH
        self.keep(getattr(answer, "admitted", None))
        self.enter(LifecycleEvent.OPENED)

    def _is_ended(self, ending: dict[str, Any] | None) -> None:
        if ending is not None:
            self.enter(LifecycleEvent.COMPLETED, result=ending)

    async def call(  # noqa: PLR0913 - each says how the call is carried out
        self,
        name: str,
        activity: Activity[Answer],
        request: Request,
        *,
        undo: Activity[UndoReport] | None = None,
        policy: UndoPolicy = FOR_EVER,
        by: str | None = None,
        tell_within: timedelta = TELL_WITHIN,
        takes_no: bool = False,
    ) -> Answer:
        """Run a step that calls an external system: its undo is recorded before the call.

        An outcome that is unknown is looked up with growing pauses; when it is still in doubt after
        `tell_within`, an operator is asked. `takes_no`: past the pivot a no is raised as well.
        """
        claim = self._next(name, request, undo, True, by, policy)
        known = until_known(self, activity, claim, request, tell_within, takes_no=takes_no)
        return await self._watch(claim, known)

    async def long_step(
        self, name: str, activity: Activity[Answer], request: Request, *, within: timedelta
    ) -> Answer:
        """Run a step that only touches our database and takes long, up to `within` for a try: as
        `step`, by an ordinary activity with heartbeats, so another worker goes on when this one is
        lost. The saga is open before."""
        claim = self._next(name, request, None, False, None)

        def work(claim: Claim) -> Awaitable[Answer]:
            tries = errors.TRIES_AT_ONCE
            return self.outside(
                activity, claim, request, summary=claim.step, tries=tries, within=within
            )

        return await self._watch(claim, persist(self, claim, work))

    async def read(self, activity: Callable[..., Awaitable[Answer]], *args: Any) -> Answer:
        """Read from our database; no step of the saga."""
        return await self.ours(activity, *args, summary="read")

    def _next(
        self,
        name: str,
        request: Request,
        undo: Activity[UndoReport] | None,
        outside: bool,
        by: str | None,
        policy: UndoPolicy = FOR_EVER,
    ) -> Claim:
        self.ordinal += 1
        plan = undo and UndoPlan(
            activity=undo.__name__,
            request=request.model_dump(mode="json"),
            outside=outside,
            tries=policy.tries,
            then=policy.then,
            beside=list(self._running),
        )
        ends_wait, self._ends_wait = self._ends_wait, False
        changed = {
            "step": name,
            "ordinal": self.ordinal,
            "undo": plan,
            "ends_wait": ends_wait,
        }
        return self.claim(by, self._decision_of(by)).model_copy(update=changed)

    def _decision_of(self, by: str | None) -> Signed | None:
        """What the person or the agent signed whose decision the story is looking at."""
        taken = self.withdrawn_by or (self.inbox.taken.by if self.inbox.taken else None)
        return self.signed(taken) if by and taken and taken.actor == by else None

    async def _watch(self, claim: Claim, work: Awaitable[Answer]) -> Answer:
        name = claim.step
        self.mark(name, "running")
        self._running.append(claim.ordinal)
        try:
            answer = await work
        except ActivityError as error:
            cause = error.cause
            refused = isinstance(cause, ApplicationError) and cause.type == "refused"
            if not is_cancelled_exception(error):
                self.mark(name, "refused" if refused else "failed", cause_of(error))
            raise
        finally:
            self._running.remove(claim.ordinal)
        self.mark(name, "done")
        heed_cancel()
        return answer
