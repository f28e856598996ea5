"""`python -m tests.attack.mutations NAME,...`: a worker without some of its rules.

With any of these mutations the laws have to be broken, each by its own; that shows that they look
at the product, and not only at damage.
"""

import dataclasses
import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from activities import asked_again, authorization_decisions, capture_decisions
from activities.adapters.mock import MockBank
from activities.adapters.payment import TransferOrder, TransferReport
from activities.providers.postgres.role import Role
from activities.step import Claim
from ledger.aggregates import policy_evaluation
from ledger.aggregates.policy import PolicyState
from ledger.aggregates.policy_evaluation import Asked, Windows
from ledger.sagas import step_log
from ledger.sagas.step_log import StepClaim
from ledger.store.commit import Author
from tests.attack import plan
from tests.attack.plan import CBUS, Drawn, Json, Story
from tests.crash.patching import put
from workflows.payment import PaymentSaga


@dataclass(frozen=True)
class Mutation:
    """What is taken away, and the beginning of the law that it breaks."""

    apply: Callable[[], None]
    law: str


def _no_maximum() -> None:
    for asking in (authorization_decisions, asked_again):
        put(asking, "denials", lambda *_: [])


def _no_threshold() -> None:
    def at_once(asked: Any, policy: Any, reasons: Any) -> str:
        return "denied" if reasons else "approved"

    put(authorization_decisions, "verdict", at_once)


def _another_account() -> None:
    transfer = MockBank.transfer

    async def elsewhere(bank: MockBank, order: TransferOrder) -> TransferReport:
        other = next(cbu for cbu in CBUS if cbu != order.destination)
        report = await transfer(bank, dataclasses.replace(order, destination=other))
        return dataclasses.replace(report, destination=order.destination)

    put(MockBank, "transfer", elsewhere)


def _reject_approves() -> None:
    ask = PaymentSaga._ask

    async def approving(saga: PaymentSaga, verb: str, raw: tuple[Any, ...], *model: Any) -> Any:
        return await ask(saga, "approve" if verb == "reject" else verb, raw, *model)

    put(PaymentSaga, "_ask", approving)


def _another_day() -> None:
    windows_at = policy_evaluation.windows_at

    def beside_it(policy: PolicyState, asked: Asked, now: datetime) -> Windows | None:
        found = windows_at(policy, asked, now)
        if found is None:
            return None
        daily, today = found["daily"], now.date()
        other = today + timedelta(days=1) if daily.starts_on == today else today
        return {**found, "daily": daily.changed(starts_on=other)}

    for room in (authorization_decisions, capture_decisions):
        put(room, "windows_at", beside_it)


def _somebody() -> None:
    author = Claim.author

    def of_somebody(claim: Claim) -> Author:
        return dataclasses.replace(author(claim), user_id="user:somebody")

    put(Claim, "author", of_somebody)


def _no_login() -> None:
    write = Role._write

    async def without(role: Role, *how: Any) -> None:
        role._spec = role._spec.model_copy(update={"login": False})
        await write(role, *how)

    put(Role, "_write", without)


def _no_fence() -> None:
    """And the worker freezes where the fence would matter: ahead of the commit of a step, once."""
    refs, is_done = StepClaim.refs, False

    def freezing(claim: StepClaim, *how: Any, **more: Any) -> Any:
        nonlocal is_done
        if claim.step.startswith("create ") and not is_done:
            is_done = True
            os.kill(os.getpid(), signal.SIGSTOP)
        return refs(claim, *how, **more)

    put(StepClaim, "refs", freezing)
    put(step_log, "_fence", lambda *_: None)


MUTATIONS = {
    "no maximum": Mutation(_no_maximum, "above the maximum is denied"),
    "no threshold": Mutation(_no_threshold, "above the threshold a user has approved"),
    "another account": Mutation(_another_account, "each order at the bank is"),
    "reject approves": Mutation(_reject_approves, "what somebody rejected"),
    "another day": Mutation(_another_day, "the spend windows are"),
    "somebody": Mutation(_somebody, "an event is by whoever"),
    "no login": Mutation(_no_login, "each role has what"),
}
FENCE = Mutation(_no_fence, "nothing happens in a saga behind its end")


def stories(prefix: str) -> list[Story]:
    """Those that show it: each sort of decision, and a role that logs in."""
    small, denied, approved, rejected = (
        kind(Drawn(random.Random(prefix), kind.__name__, prefix))
        for kind in (plan.small, plan.denied, plan.approved, plan.rejected)
    )
    # Where the maximum is gone, a person is asked for it.
    denied = dataclasses.replace(denied, decisions=approved.decisions)
    return [small, denied, approved, rejected, Story((a_role(prefix),))]


def a_role(prefix: str) -> tuple[str, Json]:
    """The request for a role that logs in."""
    name = f"{prefix}role"
    return Drawn(random.Random(prefix), name, prefix).change(name, name, login=True)


if __name__ == "__main__":
    from worker.__main__ import command_line

    for mutation in sys.argv[1].split(","):
        (MUTATIONS | {"no fence": FENCE})[mutation].apply()
    sys.argv[1:] = ["run"]
    command_line()
