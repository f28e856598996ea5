"""The saga that registers or revokes a key."""

from typing import Any, Literal

from temporalio import workflow

from activities.keys import ChangeKey, KeyActivities
from ledger.aggregates.key import key_name
from workflows.contract.key import KeyRequest, KeyResult
from workflows.contract.kinds import KEY
from workflows.engine.workflow import SagaWorkflow


@workflow.defn
class KeySaga(SagaWorkflow[KeyRequest, KeyResult]):
    """Registers or revokes a key of an agent or a person: input `KeyRequest`, result
    `KeyResult`."""

    kind = KEY
    opens_with_its_first_step = True

    @workflow.run
    async def run(self, *raw: Any) -> KeyResult:
        """Validate the input as a `KeyRequest` and run the saga."""
        return await self.carry_out(raw)

    async def story(self, request: KeyRequest) -> KeyResult:
        """Register or revoke the key, in one step."""
        self.saga.refuse_cancel()
        state: Literal["registered", "revoked"]
        state = "registered" if request.action == "register" else "revoked"
        result = KeyResult(state=state, key=request.key_id)
        asked = {"action", "holder", "public_key", "valid_from", "valid_until", "reason"}
        await self.saga.step(
            f"{request.action} key",
            KeyActivities.change_key,
            ChangeKey(**request.model_dump(include=asked), key_id=request.key_id),
            ending=result.model_dump(mode="json"),
        )
        self.saga.decided(state)
        return result

    def subjects(self, request: KeyRequest) -> list[str]:
        """The aggregates that the saga is about: the key, and its holder where that is an agent."""
        holder = request.holder.replace("agent:", "agent/", 1)
        agent = [holder] if holder != request.holder else []
        return [key_name(request.key_id), *agent]
