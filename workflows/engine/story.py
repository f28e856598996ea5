"""The base of all stories: their models, their steps, and the result after a compensation."""

import re
from typing import Any, ClassVar, Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.errors import INVALID_INPUT
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.saga_log import Compensation
from workflows.contract.admission import SagaRequest, admit, problems_in, read
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
        """The input as a new request, by the rules of today. Raises ApplicationError
        `InvalidInput`."""
        request: RequestT = admit(raw, self.kind.request)
        return request

    def problems_of(self, raw: tuple[Any, ...]) -> list[tuple[str, str]]:
        """The rules of today that the input breaks: field and reason."""
        try:
            self.admitted(raw)
        except ApplicationError as error:
            if error.type != INVALID_INPUT:
                raise
            return problems_in(error)
        return []

    def read(self, raw: tuple[Any, ...]) -> RequestT:
        """The input as a request, whatever version admitted it, with the operation id of the
        workflow id where that is one: a repeat that names the operation is the same request. Raises
        ApplicationError `InvalidInput` for what none can have admitted."""
        request: RequestT = read(raw, self.kind.request)
        named = saga_of_run(workflow.info().workflow_id).removeprefix(f"{self.kind.name}/")
        if request.operation_id is not None or not _OPERATION_ID.fullmatch(named):
            return request
        return request.model_copy(update={"operation_id": named})

    def fingerprint(self, raw: tuple[Any, ...]) -> Fingerprint:
        """What tells the request from another one, also as it was written: the first version that
        took an operation id from the workflow id stored it without."""
        unnamed: RequestT = read(raw, self.kind.request)
        return self.read(raw).fingerprint().also(unnamed.fingerprint())

    def in_full(self, request: RequestT) -> RequestT:
        """The request with defaults that its own model does not know: the form that is stored."""
        return request

    def as_admitted(self, request: RequestT) -> RequestT:
        """The request as it stands on record: a run goes on with that, and not with its own reading
        of it, since a default may have changed. A history that does not tell is of a version before
        any such change."""
        stored = self.saga.admitted
        return request.by_first_defaults() if stored is None else self.read((stored,))

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
