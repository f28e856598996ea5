"""The saga that grants, delegates or revokes a mandate."""

from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.errors import REFUSED
from activities.mandates import ChangeMandate, MandateActivities
from ledger.aggregates.names import mandate_name
from workflows.contract.kinds import MANDATE
from workflows.contract.mandate import MandateRequest, MandateResult
from workflows.engine.decisions import system
from workflows.engine.run import cause_of, words_of
from workflows.engine.story import Compensate
from workflows.engine.workflow import SagaWorkflow


@workflow.defn
class MandateSaga(SagaWorkflow[MandateRequest, MandateResult]):
    """Grants or revokes a budget of an agent: input `MandateRequest`, result `MandateResult`."""

    kind = MANDATE
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> MandateResult:
        """Validate the input as a `MandateRequest` and run the saga."""
        return await self.carry_out(raw)

    async def story(self, request: MandateRequest) -> MandateResult:
        """Grant or revoke the mandate, in one step."""
        self.saga.refuse_cancel()
        state: Literal["granted", "revoked"]
        state = "granted" if request.action == "grant" else "revoked"
        result = MandateResult(state=state, mandate=request.mandate)
        try:
            await self.saga.step(
                f"{request.action} mandate",
                MandateActivities.change_mandate,
                ChangeMandate(**request.model_dump(include=set(ChangeMandate.model_fields))),
                ending=result.model_dump(mode="json"),
            )
        except ActivityError as error:
            # The words say which limit of which mandate refuses it.
            if isinstance(error.cause, ApplicationError) and error.cause.type == REFUSED:
                raise Compensate(cause_of(error), system(reason=words_of(error))) from error
            raise
        self.saga.decided(state)
        return result

    def subjects(self, request: MandateRequest) -> list[str]:
        """The aggregates that the saga is about: the mandate, the one above it, and its agent."""
        above = [mandate_name(request.parent)] if request.parent else []
        agent = [f"agent/{request.agent_id}"] if request.agent_id else []
        return [mandate_name(request.mandate), *above, *agent]
