"""The base of all stories: their models, their steps, and the result after a compensation."""

import re
from typing import Any, ClassVar, Generic, TypeVar

from temporalio import workflow

from ledger.sagas.saga_log import Compensation
from workflows.contract.admission import SagaRequest, admit
from workflows.contract.fields import Input
from workflows.contract.kinds import SagaKind, saga_of_run
from workflows.contract.updates import By
from workflows.engine.saga import Saga

RequestT = TypeVar("RequestT", bound=SagaRequest)
ResultT = TypeVar("ResultT", bound=Input)

# A run of a schedule has colons in its workflow id, and its operation id is no other request's.
_OPERATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Compensate(Exception):
    """Raised by a story to compensate its saga. `cause` is a word of the contract, `by` who wants
    it."""

    def __init__(self, cause: str, by: By) -> None:
        super().__init__(cause)
        self.cause, self.by = cause, by


class Story(Generic[RequestT, ResultT]):
    """The base of a saga: subclasses set `kind` and implement `story`."""

    kind: ClassVar[SagaKind]
    # Whether the first thing it does is a step of ours: that commit then opens the saga as well.
    opens_with_its_first_step: ClassVar[bool] = False

    @property
    def saga(self) -> Saga:
        """The saga of this run; it exists once its input was admitted."""
        raise NotImplementedError

    def admitted(self, raw: tuple[Any, ...]) -> RequestT:
        """The input as a request. Raises ApplicationError `InvalidInput`."""
        request: RequestT = admit(raw, self.kind.request)
        return self._named(request)

    def _named(self, request: RequestT) -> RequestT:
        """The request with the operation id of the workflow id, where that is one: a repeat that
        names the operation is the same request."""
        saga_id = saga_of_run(workflow.info().workflow_id)
        named = saga_id.removeprefix(f"{self.kind.name}/")
        if request.operation_id is not None or not _OPERATION_ID.fullmatch(named):
            return request
        return request.model_copy(update={"operation_id": named})

    def subjects(self, request: RequestT) -> list[str]:
        """The aggregates that the saga is about, as opaque ids."""
        raise NotImplementedError

    async def story(self, request: RequestT) -> ResultT:
        """Run the steps of the saga. Raises Compensate, or lets an activity's failure through, to
        compensate it."""
        raise NotImplementedError

    async def compensated(self, request: RequestT, undone: Compensation) -> ResultT:
        """The result after the saga was compensated."""
        raise NotImplementedError
