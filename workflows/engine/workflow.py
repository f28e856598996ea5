"""The base of all saga workflows: the request again, a cancel, decisions of people."""

from collections.abc import Callable
from typing import Any

from temporalio import workflow

from activities.errors import invalid_input
from ledger.store.canonical_json import digest
from workflows.contract.admission import problems_with, read
from workflows.contract.kinds import saga_of_run
from workflows.contract.progress import Progress
from workflows.contract.updates import By
from workflows.engine.decisions import Asked, not_allowed
from workflows.engine.execution import Execution
from workflows.engine.inbound import OtherUpdates
from workflows.engine.operator_updates import OperatorUpdates
from workflows.engine.record import differs, reused
from workflows.engine.saga import Saga
from workflows.engine.signed import signature_of
from workflows.engine.story import RequestT, ResultT, Story

# A run takes 2,000 updates in all: a client that repeats itself must leave room for the people
# who decide. What a validator refuses does not count.
MAX_REPEATS = 200


class SagaWorkflow(Story[RequestT, ResultT], OperatorUpdates, OtherUpdates):
    """The base of all sagas: a story, and the updates of all sagas.

    The SDK looks at each method of it for each run: what is no update lives in `Execution`.
    """

    @workflow.init
    def __init__(self, *raw: Any) -> None:
        self._started_with = raw
        self._execution: Execution[RequestT, ResultT] = Execution(self)
        self._lifecycle = self._execution.lifecycle
        # The whole of a run: what `run` of a subclass returns.
        self.carry_out = self._execution.carry_out
        self._is_submitted, self._repeats = False, 0

    @property
    def saga(self) -> Saga:
        """The saga of this run, once its input was admitted."""
        assert self._execution.saga is not None
        return self._execution.saga

    @workflow.update
    async def submit(self, *raw: Any) -> Progress:
        """Answer the request, sent with the start, when its decision is known. A request sent again
        is recorded and gets the first answer."""
        fingerprint = self.fingerprint(raw)
        # The one that came with the start is no repeat.
        is_repeat = self._execution.has_begun or self._is_submitted
        self._is_submitted = True
        await workflow.wait_condition(
            lambda: self._lifecycle.is_recorded or self._lifecycle.has_ended
        )
        self._raise_failure()
        # In the last task of a run nothing can be recorded any more.
        if is_repeat and not self._lifecycle.has_ended:
            self._repeats += 1
            update = workflow.current_update_info()
            assert update is not None
            # The id is the caller's text; its digest fits into any column.
            met = await self.saga.record_repeat(fingerprint, digest(update.id))
            if met.how == "reused":
                raise reused(self.saga.saga_id)
        # A run that took an undo over decides nothing: its undo may wait for an operator for days.
        await workflow.wait_condition(lambda: self._is_answered() or bool(self.progress().waits))
        # Runs of before waited on.
        if not self._is_answered() and not workflow.patched("submit-answered-in-an-undo"):
            await workflow.wait_condition(self._is_answered)
        self._raise_failure()
        return self.progress()

    def _is_answered(self) -> bool:
        return self._lifecycle.has_ended or self.saga.is_decided

    @submit.validator
    def _check_submit(self, *raw: Any) -> None:
        if not self._execution.has_begun:
            self._check_with_start(raw)
            return
        problems = self.problems_of(raw)
        # Rules are for new requests: the one of this saga may be sent again under any.
        if problems and not self._is_ours(raw):
            raise invalid_input(problems)
        if self._repeats >= MAX_REPEATS:
            raise not_allowed(
                f"this request came {MAX_REPEATS} times while the saga runs: "
                f"ask for its progress instead"
            )

    def _check_with_start(self, raw: tuple[Any, ...]) -> None:
        # Both are one request, and whoever opens the saga decides on it: it may be an old one.
        if self.fingerprint(raw).resembles(self.fingerprint(self._started_with)):
            return
        if problems := self.problems_of(raw) or self.problems_of(self._started_with):
            raise invalid_input(problems)
        raise differs(saga_of_run(workflow.info().workflow_id))

    def _is_ours(self, raw: tuple[Any, ...]) -> bool:
        if not self._lifecycle.is_recorded or self._execution.saga is None:
            return False
        # Let through: the ledger, which has the first one, knows.
        return self.fingerprint(raw).resembles(self.saga.opening.fingerprint)

    @workflow.update
    async def cancel(self, *raw: Any) -> Progress:
        """Compensate the saga, whatever it is doing, unless that comes too late. Answers when the
        compensation is recorded as begun, or waits for the outcome of a pivot that can't be
        undone."""
        if await self._execution.hear("cancel", raw):
            self._check_cancellable()
        self._execution.cancel(read(raw, By))
        return await self._compensating()

    @cancel.validator
    def _check_cancel(self, *raw: Any) -> None:
        self._admit_by(raw)
        self._check_cancellable()

    def _check_cancellable(self, verb: str = "cancel") -> None:
        if why := self._lifecycle.refuses_cancel():
            raise not_allowed(f"can't {verb}: {why}")

    async def _ask(
        self,
        verb: str,
        raw: tuple[Any, ...],
        model: type[By] = By,
        until: Callable[[Asked], bool] = lambda asked: False,
    ) -> Progress:
        """Hand a decision to the story and wait until it is recorded, or `until` there is another
        answer."""
        update = workflow.current_update_info()
        assert update is not None
        asked = Asked(verb, read(raw, model), digest(signature_of(raw) or update.id))
        waits_for = self.progress().waits_for
        if await self._execution.hear(verb, raw):
            self._check_waits(verb, waits_for)
        self.saga.inbox.waiting.append(asked)
        await workflow.wait_condition(lambda: asked.answered or until(asked))
        if asked.refusal:
            raise asked.refusal
        return self.progress()

    def _admit_by(self, raw: tuple[Any, ...], model: type[By] = By) -> By:
        """Validate the argument of an update. Whoever asked for the saga is known by the name that
        was admitted with it, whatever names are by now. Raises ApplicationError `InvalidInput`."""
        problems, by = problems_with(raw, model), read(raw, model)
        if self._execution.saga is not None and by.actor == self.saga.actor:
            problems = [problem for problem in problems if problem[0] != "actor"]
        if problems:
            raise invalid_input(problems)
        return by

    async def _compensating(self) -> Progress:
        """Wait until the compensation is recorded as begun, or waits for an outcome, or the saga
        has ended."""
        await workflow.wait_condition(
            lambda: (
                self._lifecycle.is_compensating
                or self._lifecycle.has_ended
                or self._execution.is_withdrawn
            )
        )
        return self.progress()

    def _check_not_undone(self, verb: str) -> None:
        if why := self._execution.undone_because():
            now = self.progress()
            waits = [command for wait in now.waits for command in wait.commands]
            commands = " or ".join(waits) or f"amends saga {now.saga_id} follows it"
            raise not_allowed(f"can't {verb}: {why}: {commands}")

    def _check_ask(
        self, verb: str, waits_for: str, raw: tuple[Any, ...], model: type[By] = By
    ) -> None:
        self._admit_by(raw, model)
        self._check_waits(verb, waits_for)

    def _check_waits(self, verb: str, waits_for: str) -> None:
        self._check_not_undone(verb)
        now = self.progress()
        if now.waits_for != waits_for:
            raise not_allowed(
                f"can't {verb}: the saga is {now.decision or now.state}"
                f"{' and waits for ' + now.waits_for if now.waits_for else ''}"
            )

    def _raise_failure(self) -> None:
        if self._execution.failure:
            raise self._execution.failure
