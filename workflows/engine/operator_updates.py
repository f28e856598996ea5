"""The query and the operator actions of any saga: its progress, and decisions on a step that
waits."""

from typing import Any, ClassVar

from temporalio import workflow

from workflows.contract.admission import admit, read
from workflows.contract.kinds import SagaKind, saga_of_run
from workflows.contract.progress import Progress
from workflows.contract.updates import OperatorAction, Resolve, Skip
from workflows.contract.waits import Verb
from workflows.engine.decisions import Asked, not_allowed
from workflows.engine.execution import Execution


class OperatorUpdates:
    """The query `progress` and the updates `retry`, `skip` and `resolve`."""

    kind: ClassVar[SagaKind]
    _execution: Execution[Any, Any]

    @workflow.query
    def progress(self) -> Progress:
        """The progress of the saga."""
        if self._execution.saga is None:
            state = self._execution.lifecycle.state
            return Progress(
                saga_id=saga_of_run(workflow.info().workflow_id), kind=self.kind.name, state=state
            )
        return self._execution.saga.progress

    @workflow.update
    async def retry(self, *raw: Any) -> Progress:
        """Retry the step that waits for an operator. Answers when the action is recorded."""
        return await self._act("retry", read(raw, OperatorAction), raw)

    @retry.validator
    def _check_retry(self, *raw: Any) -> None:
        self._check_operator("retry", admit(raw, OperatorAction))

    @workflow.update
    async def skip(self, *raw: Any) -> Progress:
        """Give up the undo of a step: what is left becomes a residual."""
        return await self._act("skip", read(raw, Skip), raw)

    @skip.validator
    def _check_skip(self, *raw: Any) -> None:
        self._check_operator("skip", admit(raw, Skip))

    @workflow.update
    async def resolve(self, *raw: Any) -> Progress:
        """Resolve the outcome of a step, with evidence, where the external system can't."""
        return await self._act("resolve", read(raw, Resolve), raw)

    @resolve.validator
    def _check_resolve(self, *raw: Any) -> None:
        self._check_operator("resolve", admit(raw, Resolve))

    def _check_operator(self, verb: Verb, by: OperatorAction) -> None:
        if not by.actor.startswith("user:"):
            raise not_allowed(f"can't {verb}: a user decides, not an agent")
        if self._execution.saga is None:
            raise not_allowed(f"can't {verb}: no step waits for an operator")
        outcome = by.outcome if isinstance(by, Resolve) else None
        self._execution.saga.waiting.check(verb, by.step, outcome)

    async def _act(self, verb: Verb, by: OperatorAction, raw: tuple[Any, ...]) -> Progress:
        saga, asked = self._execution.saga, Asked(verb, by)
        assert saga is not None
        await self._execution.hear(verb, raw)
        saga.waiting.say(verb, asked, by.step)
        await workflow.wait_condition(lambda: asked.answered)
        if asked.refusal:
            raise asked.refusal
        return self.progress()
