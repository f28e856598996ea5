"""The border between Temporal and a workflow: an update that comes with the start, and the failures
that leave."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from activities.errors import invalid_input
from ledger.sagas.signatures import WORDS
from ledger.store.signed_form import FIELD, SUBMIT
from workflows.engine.misdirected import Misdirected, wrong_address

# Runs that took an unsigned update with their start before this was there.
_SIGNED_WITH_START = "update-with-start-signed"


class Inbound(Interceptor):
    """Guards every workflow of a worker: docs/decisions/020. `served` is the task queue of each
    workflow type, `signed` whether an update needs a signature."""

    def __init__(self, served: Mapping[str, str], *, signed: bool = False) -> None:
        self._guard = type("_Guard", (_Guard,), {"served": served, "needs_signature": signed})

    def workflow_interceptor_class(
        self, _: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """The guard of one run; the SDK calls this once per run."""
        return self._guard


class _Guard(WorkflowInboundInterceptor):
    """The guard of one run.

    An update that comes with the start is decided in its handler and not in its validator, since
    only the handler is in the history: where it is refused, the run ends with the same failure
    before it does anything. One that is taken stands for the start: what others send in the same
    moment then ends nothing.
    """

    served: ClassVar[Mapping[str, str]] = {}
    needs_signature: ClassVar[bool] = False
    _has_begun = False
    _is_taken = False
    _refusal: FailureError | None = None

    async def execute_workflow(self, asked: ExecuteWorkflowInput) -> Any:
        self._has_begun = True
        self._check_address()
        if self._refusal is not None and not self._is_taken:
            raise self._refusal
        try:
            return await self.next.execute_workflow(asked)
        except FailureError as error:
            raise public(error) from None

    def handle_update_validator(self, asked: HandleUpdateInput) -> None:
        if not self._has_begun:
            return
        # No replay comes here, so the settings of another day change nothing. The signature of a
        # request is for the commit that opens its saga.
        if self.needs_signature and asked.update != SUBMIT and not _carries_signature(asked.args):
            raise invalid_input([("signature", WORDS["missing_signature"])])
        self.next.handle_update_validator(asked)

    async def handle_update_handler(self, asked: HandleUpdateInput) -> Any:
        if not self._has_begun:
            self._decide_with_start(asked)
        try:
            return await self.next.handle_update_handler(asked)
        except FailureError as error:
            raise public(error) from None

    def _decide_with_start(self, asked: HandleUpdateInput) -> None:
        try:
            self._check_address()
            is_signed = asked.update == SUBMIT or _carries_signature(asked.args)
            if not is_signed and self._asks_signature():
                raise invalid_input([("signature", WORDS["missing_signature"])])
            self.next.handle_update_validator(asked)
            if workflow.get_update_handler(asked.update) is None:
                raise no_such_update()
        except FailureError as error:
            self._refusal = self._refusal or error
            raise
        self._is_taken = True

    def _asks_signature(self) -> bool:
        """Whether the run asks for signatures: by the settings of the worker that began it. A mark
        in the history keeps them, and is there only where they ask."""
        may = self.needs_signature or workflow.unsafe.is_replaying()
        return may and workflow.patched(_SIGNED_WITH_START)

    def _check_address(self) -> None:
        if isinstance(workflow.instance(), Misdirected):
            raise wrong_address(self.served)


def _carries_signature(args: Sequence[Any]) -> bool:
    return bool(args) and isinstance(args[0], dict) and bool(args[0].get(FIELD))


class OtherUpdates:
    """Answers the updates that a workflow does not have; the SDK alone would refuse one that comes
    with the start, and let the run go on."""

    @workflow.update(dynamic=True)
    async def other_update(self, name: str, args: Sequence[RawValue]) -> None:
        """Refuse an update of another name."""
        raise no_such_update()

    @other_update.validator
    def _check_other_update(self, name: str, args: Sequence[RawValue]) -> None:
        raise no_such_update()


def no_such_update() -> ApplicationError:
    """The refusal of an update that the workflow does not have."""
    return invalid_input([("update", "not an update of this workflow: see docs/contract.md")])


def public(error: FailureError) -> FailureError:
    """The failure as it leaves the workflow: type, message and details, and no failure of an
    activity around it, which says how we work and which other SDKs can't always read."""
    while isinstance(error, ActivityError) and isinstance(error.cause, FailureError):
        if is_cancelled_exception(error):
            return error
        error = error.cause
    if isinstance(error, ApplicationError) or is_cancelled_exception(error):
        return error
    # A server was away for longer than anybody waits, or a defect: nothing of the request.
    return ApplicationError(error.message, type=type(error).__name__, non_retryable=True)
