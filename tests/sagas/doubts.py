"""Plays a payment whose first answer is lost, by the activities of the payment over PostgreSQL, as
the engine calls them: attempt by attempt, with pauses, an operator after an hour, a cancel."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Literal

from temporalio.testing import ActivityEnvironment

from activities import transfers
from activities.adapters.payment import NothingSent, NotTheSameTransfer, OutcomeUnknown
from activities.agents import SetPolicy, policy_set
from activities.authorization_decisions import Authorize
from activities.authorizations import AuthorizationActivities, Settle
from activities.errors import Failed, Refused
from activities.step import Claim, Verdict
from activities.step_records import Doubt, StepRecords
from activities.transfers import Transfer, TransferActivities, Transferred
from ledger.aggregates.agent import AgentRegistered, agent_name
from ledger.aggregates.policy import policy_name
from ledger.aggregates.saga import saga_name
from ledger.aggregates.saga_step import UndoPlan
from ledger.database import Database
from ledger.sagas import saga_log
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.saga_log import Compensation, Opening, Run, started_by
from ledger.store.commit import Author, Decision, Loaded, Ref, commit, database_time
from tests.sagas.doubt_bank import Account, DoubtBank, WorkerLost
from tests.support.driver import payment, policy
from workflows.contract.kinds import PAYMENT
from workflows.contract.policy import PolicyRequest

Caller = Literal["retry", "cancel", "person"]
STEP = "execute transfer"
# The pauses of the engine grow twofold; ten looks more tell nothing new.
PAUSES_S = (1.0, 10.0, 100.0, 1_000.0, 3_000.0)
ASKED_S = transfers.TELL_WITHIN.total_seconds()
# An operator who retries in vain so often finds the outcome out by themselves.
RETRIES = 3
MOST_TURNS = 20

CLOCK: ContextVar[Account] = ContextVar("clock")


async def banks_time(database: Database) -> datetime:
    """The clock of the database, ahead by what has passed at the bank."""
    return await database_time(database) + timedelta(seconds=CLOCK.get().now_s)


@dataclass
class Ended:
    """The state of the authorization at the end, whether a person was asked and told the outcome,
    and whether money could still move when the payment was undone."""

    state: str
    told: bool = False
    asked: bool = False
    could_land: bool = False


@dataclass
class Play:
    """One payment, of an agent of its own, at an account of the bank."""

    database: Database
    bank: DoubtBank
    agent: str
    account: Account
    caller: Caller
    saga_id: str = ""
    told: bool = False
    _epoch: int = 1
    _turn: int = 0
    _asks: int = 0
    _cancelled: bool = False
    _run: ActivityEnvironment = field(default_factory=ActivityEnvironment)

    async def end(self) -> Ended:
        """Plays it to its end."""
        CLOCK.set(self.account)
        self._asked = payment(self.agent, 45_000)
        self.saga_id = f"payment/{self._asked['operation_id']}"
        self.bank.accounts[self.saga_id] = self.account
        self._author = Author(f"agent:{self.agent}", self.saga_id)
        self._transfers = TransferActivities(self.database, self.bank)
        self._holds = AuthorizationActivities(self.database)
        await self._open()
        authorize = self._authorize()
        claim = self._claim(1, "authorize", self._holds.release_authorization, authorize)
        hold = await self._run.run(self._holds.authorize, claim, authorize)
        transfer = Transfer(
            authorization_id=hold.authorization_id,
            agent_id=self.agent,
            amount_minor=self._asked["amount"]["minor"],
            currency="ARS",
            destination=self._asked["destination"]["cbu"],
            description="",
        )
        try:
            sent = await self._sent(transfer)
        except (Refused, Failed, NotTheSameTransfer):
            begun = await self._begin("provider_failed")
            return await self._undone(begun)
        if isinstance(sent, Compensation):
            return await self._undone(sent)
        return await self._settled(hold.authorization_id, sent)

    async def _sent(self, transfer: Transfer) -> Transferred | Compensation:
        """The executed transfer, or the compensation that a cancel began."""
        claim = self._claim(2, STEP, self._transfers.reverse_transfer, transfer)
        verdict: Verdict | None = None
        while True:
            again_in_s, ask = 0.0, False
            tried = claim.model_copy(update={"tries": self._turn, "verdict": verdict})
            try:
                return await self._run.run(self._transfers.execute_transfer, tried, transfer)
            except OutcomeUnknown as doubt:
                again_in_s = doubt.again_in_s or 0.0
                ask = doubt.for_ever or self.account.now_s >= ASKED_S
                if self._turn == 0:
                    records = StepRecords(self.database)
                    noted = Doubt(reason=str(doubt))
                    await self._run.run(records.note_unknown, tried, noted)
            except (NothingSent, WorkerLost):
                pass
            if self.caller == "cancel" and not self._cancelled:
                self._cancelled = True
                begun = await self._begin("cancelled")
                if begun.state == "compensating":
                    return begun
                claim = claim.model_copy(update={"withdrawn": True})
            self._asks += ask
            if ask and (self.caller == "person" or self._asks > RETRIES):
                verdict, self.told = self._verdict(), True
                continue
            self._pause(again_in_s)

    def _verdict(self) -> Verdict:
        """What the bank tells on the telephone: what becomes of the order in the end."""
        outcome: Literal["done", "failed"] = "done" if self.account.will_have_moved else "failed"
        return Verdict(outcome=outcome, evidence="TRF-1")

    def _pause(self, at_least_s: float) -> None:
        pause = PAUSES_S[min(self._turn, len(PAUSES_S) - 1)]
        # In whole minutes: what passes at the clock of the database meanwhile is no news.
        self.account.wait(max(pause, 60.0 * ceil(at_least_s / 60)))
        self._turn += 1
        assert self._turn < MOST_TURNS, self.account

    async def _begin(self, cause: str) -> Compensation:
        where = (self.saga_id, self._epoch, "run-1", cause, None, PAYMENT.pivot_step)
        begun = await saga_log.begin_compensation(self.database, self._author, *where)
        self._epoch = begun.epoch
        return begun

    async def _undone(self, compensation: Compensation) -> Ended:
        undos: dict[str, Any] = {
            undo.__name__: (undo, model)
            for undo, model in (
                (self._transfers.reverse_transfer, Transfer),
                (self._holds.release_authorization, Authorize),
            )
        }
        could_land = False
        for step in compensation.steps:
            undo, model = undos[step.undo.activity]
            claim = self._claim(step.ordinal, step.name)
            could_land = self.account.may_land or self.account.moved > self.account.back
            while True:
                try:
                    await self._run.run(undo, claim, model.model_validate(step.undo.request))
                except (OutcomeUnknown, NothingSent):
                    self._pause(0.0)
                else:
                    break
        hold = await self._holds.read_authorization(self.saga_id)
        result = hold.model_dump(include={"state", "authorization_id", "transfer_id"})
        result |= {"provider_reference": None, "reason": compensation.cause}
        close = saga_log.close_saga
        await close(self.database, self._author, self.saga_id, self._epoch, "compensated", result)
        return Ended(hold.state, self.told, self._asks > 0, could_land)

    async def _settled(self, authorization_id: str, sent: Transferred) -> Ended:
        reference = sent.provider_reference
        result = {
            "state": "captured",
            "authorization_id": authorization_id,
            "transfer_id": sent.transfer_id,
            "provider_reference": reference,
        }
        claim = self._claim(3, "settle").model_copy(update={"ending": result})
        settle = Settle(authorization_id=authorization_id, provider_reference=reference)
        await self._run.run(self._holds.settle_authorization, claim, settle)
        return Ended("captured", self.told, self._asks > 0)

    def _authorize(self) -> Authorize:
        return Authorize(
            agent_id=self.agent,
            amount_minor=self._asked["amount"]["minor"],
            currency="ARS",
            destination=self._asked["destination"]["cbu"],
            description="",
            approve_within=timedelta(days=1),
        )

    async def _open(self) -> None:
        """The agent, its policy and the saga, in one commit."""
        opening = Opening(
            saga_id=self.saga_id,
            kind="payment",
            operation_id=self._asked["operation_id"],
            actor=self._author.user_id,
            input=self._asked,
            fingerprint=Fingerprint(given=self.saga_id),
            run=Run("default", "namespace-1", "amends-payments", "run-1"),
        )
        asked = PolicyRequest.model_validate(policy(self.agent))
        fields = asked.model_dump(include=set(SetPolicy.model_fields) - {"terms"})
        first = policy_set(SetPolicy(terms=asked.terms(), **fields), None, datetime.now(UTC))
        registered = AgentRegistered(agent_id=self.agent, user="user:u-17")
        saga = saga_name(self.saga_id)

        def decide(loaded: Loaded) -> Decision[None]:
            events = [
                (agent_name(self.agent), registered),
                (policy_name(self.agent), first),
                (saga, started_by(opening, loaded)),
            ]
            return Decision(None, events)

        names = (agent_name(self.agent), policy_name(self.agent), saga)
        await commit(self.database, self._author, [Ref(name) for name in names], decide)

    def _claim(
        self,
        ordinal: int,
        step: str,
        undo: Callable[..., Awaitable[Any]] | None = None,
        request: Any = None,
    ) -> Claim:
        plan = undo and UndoPlan(
            activity=undo.__name__, request=request.model_dump(mode="json"), outside=False
        )
        return Claim(
            saga_id=self.saga_id,
            step=step,
            ordinal=ordinal,
            epoch=self._epoch,
            actor=self._author.user_id,
            undo=plan,
        )
