"""The saga: reserve each line of an order, or none of them."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue
from temporalio import workflow

from ledger.aggregates.step_report import StepReport
from ledger.sagas.saga_log import Compensation
from workflows.contract.fields import (
    Actor,
    Input,
    Metadata,
    Name,
    OperationId,
    Result,
    Signable,
)
from workflows.contract.kinds import Queue, SagaKind
from workflows.engine.workflow import SagaWorkflow

with workflow.unsafe.imports_passed_through():
    from examples.orders.activities import OrderActivities, Reserve


class Line(Input):
    """One item of an order."""

    item: Name
    count: Annotated[int, Field(ge=1, le=1_000)]


class OrderRequest(Signable):
    """The input of `OrderSaga`, as JSON from any client."""

    operation_id: OperationId | None = None
    actor: Actor
    lines: Annotated[list[Line], Field(min_length=1, max_length=20)]
    metadata: Metadata = Field(default_factory=dict[str, JsonValue])

    def about(self) -> list[str]:
        """What is asked for, for people: its page in the Web UI begins with it."""
        return [f"order of {len(self.lines)} lines"]


class OrderResult(Result):
    """The result of `OrderSaga`."""

    state: Literal["reserved", "compensated"]
    reason: str | None = None
    residuals: list[str] = Field(default_factory=list)
    steps: list[StepReport] = Field(default_factory=list)


ORDER = SagaKind(
    name="order",
    workflow="OrderSaga",
    queue=Queue("ORDERS_QUEUE", "orders"),
    request=OrderRequest,
    result=OrderResult,
    good_ends=frozenset({"reserved"}),
)


@workflow.defn
class OrderSaga(SagaWorkflow[OrderRequest, OrderResult]):
    """Started as `order/{operation_id}`."""

    kind = ORDER

    @workflow.run
    async def run(self, *raw: Any) -> OrderResult:
        """The workflow: admit the input and carry it out."""
        return await self.carry_out(raw)

    async def story(self, request: OrderRequest) -> OrderResult:
        """Reserve line by line; a line that is refused compensates those before it."""
        for number, line in enumerate(request.lines, 1):
            await self.saga.call(
                f"reserve line {number}",
                OrderActivities.reserve_goods,
                Reserve(item=line.item, count=line.count),
                undo=OrderActivities.release_goods,
            )
        self.saga.decided("reserved")
        return OrderResult(state="reserved")

    async def compensated(self, request: OrderRequest, undone: Compensation) -> OrderResult:
        """The result after every line was given back."""
        return OrderResult(
            state="compensated",
            reason=undone.cause,
            residuals=undone.residuals,
            steps=undone.reports,
        )

    def subjects(self, request: OrderRequest) -> list[str]:
        """The items of the order."""
        return [line.item for line in request.lines]
