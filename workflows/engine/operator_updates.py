"""What people may ask of any saga: where it stands, and to mend a step that waits for them."""

from typing import Any, ClassVar

from temporalio import workflow

from workflows.contract.admission import admit
from workflows.contract.progress import Progress
from workflows.contract.updates import Mend, Resolve, Skip, Verb
from workflows.engine.decisions import Asked, not_allowed
from workflows.engine.saga import Saga


class Mended:
    """The query `progress` and the updates `retry`, `skip` and `resolve`."""

    kind: ClassVar[str]

    def __init__(self) -> None:
        self._saga: Saga | None = None

    @property
    def saga(self) -> Saga:
        """The saga of this run, once it is known."""
        assert self._saga is not None
        return self._saga

    @workflow.query
    def progress(self) -> Progress:
        """Where the saga stands."""
        if self._saga is None:
            return Progress(saga_id=workflow.info().workflow_id, kind=self.kind, state="pending")
        return self._saga.progress

    @workflow.update
    async def retry(self, *raw: Any) -> Progress:
        """A person says: try the step again that waits for one. Answers when that is on record."""
        return await self._mend("retry", admit(raw, Mend))

    @retry.validator
    def _check_retry(self, *raw: Any) -> None:
        self._check_mend("retry", admit(raw, Mend))

    @workflow.update
    async def skip(self, *raw: Any) -> Progress:
        """A person gives up the undo of a step: what is left becomes a residual."""
        return await self._mend("skip", admit(raw, Skip))

    @skip.validator
    def _check_skip(self, *raw: Any) -> None:
        self._check_mend("skip", admit(raw, Skip))

    @workflow.update
    async def resolve(self, *raw: Any) -> Progress:
        """A person says how a step stands, with evidence, since the outside can't tell."""
        return await self._mend("resolve", admit(raw, Resolve))

    @resolve.validator
    def _check_resolve(self, *raw: Any) -> None:
        self._check_mend("resolve", admit(raw, Resolve))

    def _check_mend(self, verb: Verb, by: Mend) -> None:
        if not by.actor.startswith("user:"):
            raise not_allowed(f"can't {verb}: a user decides, not an agent")
        if self._saga is None:
            raise not_allowed(f"can't {verb} {by.step}: no step waits for a person")
        outcome = by.outcome if isinstance(by, Resolve) else None
        self._saga.waiting.check(verb, by.step, outcome)

    async def _mend(self, verb: Verb, by: Mend) -> Progress:
        asked = Asked(verb, by)
        self.saga.waiting.say(verb, asked, by.step)
        await workflow.wait_condition(lambda: asked.answered)
        if asked.refusal:
            raise asked.refusal
        return self.progress()
