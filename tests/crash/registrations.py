"""Activities that register agents as steps beside others, and take that back."""

from typing import Any, Literal

from temporalio import activity

from activities.step import CARRIED_OUT, Claim, Request
from ledger.aggregates.agent import AgentRegistered, AgentRevoked, agent_name
from ledger.aggregates.saga_step import StepUndone
from ledger.aggregates.step_report import UndoReport
from ledger.database import Database
from ledger.errors import StateRefused, TooMuchContention
from ledger.sagas.step_log import commit_step, undo_step
from ledger.store.commit import Decision, Loaded, Ref

Meets = Literal["nothing", "a refusal", "a lost race"]


class Registration(Request):
    """A new agent, and what its step meets: a race is lost only beside other steps."""

    agent_id: str
    meets: Meets = "nothing"


class Registrations:
    """Registers agents, and revokes them again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def register(self, claim: Claim, request: Registration) -> None:
        if request.meets == "a lost race" and CARRIED_OUT.get():
            raise TooMuchContention("the explorer lets others win each race of this step")
        name = agent_name(request.agent_id)

        def register(_: Loaded) -> Decision[dict[str, Any]]:
            if request.meets == "a refusal":
                raise StateRefused("the explorer refuses this step", "refused_here")
            return Decision(
                {}, [(name, AgentRegistered(agent_id=request.agent_id, user="user:u-17"))]
            )

        step, ref = claim.step_claim(request), Ref(name, new=True)
        await commit_step(self._database, claim.author(), step, [ref], register)

    @activity.defn
    async def unregister(self, claim: Claim, request: Registration) -> UndoReport:
        name = agent_name(request.agent_id)
        undone = Decision(StepUndone(note="revoked"), [(name, AgentRevoked())])
        step = claim.step_claim(request)
        return await undo_step(self._database, claim.author(), step, [Ref(name)], lambda _: undone)
