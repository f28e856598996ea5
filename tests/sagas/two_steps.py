"""Sagas of two local steps that end in the task that carries them, and leave themselves open.

No saga of ours does that: it closes its record before it ends. The server refuses only tasks that
end a workflow (UnhandledCommand), so this is how one that carries committed steps is refused while
its saga is open.
"""

from typing import Any

from temporalio import workflow

from activities.authorization_decisions import Approve
from activities.authorizations import AuthorizationActivities
from workflows.contract.payment import PaymentRequest, PaymentResult
from workflows.payment import PaymentSaga

Json = dict[str, Any]


async def left_open(end: str, result: Json, actor: str | None = None) -> Json:
    return result


@workflow.defn
class TwoSteps(PaymentSaga):
    """Reserves the spend and approves it; its first step opens the saga."""

    @workflow.run
    async def run(self, *raw: Any) -> PaymentResult:
        return await self.carry_out(raw)

    async def story(self, request: PaymentRequest) -> PaymentResult:
        hold = await self._authorize(request)
        approve = Approve(authorization_id=hold.authorization_id)
        activity = AuthorizationActivities.approve_authorization
        approved = await self.saga.step("approve", activity, approve, by="user:u-17")
        self.saga.close = left_open  # type: ignore[method-assign]
        return PaymentResult(state="captured", authorization_id=approved.authorization_id)


@workflow.defn
class TwoStepsOpenedAlone(TwoSteps):
    """The same, opened by a commit of its own."""

    opens_with_its_first_step = False

    @workflow.run
    async def run(self, *raw: Any) -> PaymentResult:
        return await self.carry_out(raw)
