"""Sagas that are stuck at a call, and the operator who decides on them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.support.driver import USER, Driver, Json, new_id
from tests.support.trial_steps import TrialSteps, Word
from tests.support.until import until


def trial(*names: str, then_undo: bool = True, at_once: bool = False, **more: Any) -> Json:
    """A request for calls of these names, all with the same policy."""
    return {
        "operation_id": new_id("trial"),
        "trial": [{"name": name, **more} for name in names],
        "then_undo": then_undo,
        "at_once": at_once,
    }


async def needs_person(trial_driver: Driver, request: Json, *steps: str) -> None:
    """Wait until exactly these steps wait for a person."""

    async def waits() -> bool:
        progress = await trial_driver.progress(request)
        stands = (progress["state"], progress["waits_for"])
        return stands == ("needs_attention", ", ".join(steps))

    await until(waits)


@dataclass(frozen=True)
class StuckSaga:
    """A saga of one step, and the call to which the system does not say yes."""

    trial_driver: Driver
    trial_steps: TrialSteps
    name: str
    call: str
    request: Json

    def is_over(self) -> None:
        """From now on the system says yes."""
        self.trial_steps.says[self.call] = "yes"

    def calls(self) -> int:
        return self.trial_steps.calls.count(self.call)

    async def step(self) -> Json:
        return await self.trial_driver.step(self.request, self.name)

    async def needs_person(self) -> None:
        await needs_person(self.trial_driver, self.request, self.name)

    async def until_told_of(self) -> Json:
        """The progress, as soon as it says that the saga waits for this step."""

        async def told() -> Json | None:
            progress = await self.trial_driver.progress(self.request)
            return progress if progress["waits_for"] == self.name else None

        return await until(told)

    async def until_it_pauses(self) -> None:
        """Wait until a person may step in before the next try."""

        async def in_a_pause() -> bool:
            return "skip" in (await self.step()).get("verbs", [])

        await until(in_a_pause)

    async def tell(self, verb: str, **more: str) -> Json:
        """What an operator says of this step."""
        return await self.trial_driver.tell(self.request, verb, {**USER, "step": self.name, **more})

    async def result(self) -> Json:
        return await self.trial_driver.result(self.request)


InTrouble = Callable[..., Awaitable[StuckSaga]]


async def stuck_saga(
    trial_driver: Driver, trial_steps: TrialSteps, call: str, word: Word, **more: Any
) -> StuckSaga:
    """Start a saga whose call (`{}` is the step, `undo {}` its undo) gets this answer."""
    name = new_id("call")
    call = call.format(name)
    trial_steps.says[call] = word
    trouble = StuckSaga(
        trial_driver, trial_steps, name, call, trial(name, then_undo=call != name, **more)
    )
    await trial_driver.start(trouble.request)
    return trouble
