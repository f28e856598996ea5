"""The base of all stories: their models, their steps, and the result after a compensation."""

from typing import Any, ClassVar, Generic, TypeVar

from temporalio.exceptions import ApplicationError

from activities.errors import INVALID_INPUT
from ledger.sagas.saga_log import Compensation
from workflows.contract.admission import SagaRequest, admit, problems_in, read
from workflows.contract.fields import Input
from workflows.contract.kinds import SagaKind
from workflows.contract.updates import By
from workflows.engine.saga import Saga

RequestT = TypeVar("RequestT", bound=SagaRequest)
ResultT = TypeVar("ResultT", bound=Input)


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
        """The input as a request, whatever version admitted it. Raises ApplicationError
        `InvalidInput` for what none can have admitted."""
        request: RequestT = read(raw, self.kind.request)
        return request

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
