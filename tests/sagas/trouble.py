"""Errands with which a saga does not get on, and whoever looks at it and decides."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.sagas.books import until
from tests.sagas.desk import Desk, Word
from tests.sagas.teller import USER, Json, Teller, new_id


def errands(*names: str, then_undo: bool = True, at_once: bool = False, **more: Any) -> Json:
    """Errands of these names, all with the same policy."""
    return {
        "operation_id": new_id("errands"),
        "errands": [{"name": name, **more} for name in names],
        "then_undo": then_undo,
        "at_once": at_once,
    }


async def needs_person(clerk: Teller, request: Json, *steps: str) -> None:
    """Wait until exactly these steps wait for a person."""

    async def waits() -> bool:
        progress = await clerk.progress(request)
        stands = (progress["state"], progress["waits_for"])
        return stands == ("needs_attention", ", ".join(steps))

    await until(waits)


@dataclass(frozen=True)
class Trouble:
    """A saga of one errand, and the call to which the desk does not say yes."""

    clerk: Teller
    desk: Desk
    name: str
    call: str
    request: Json

    def is_over(self) -> None:
        """From now on the desk says yes."""
        self.desk.says[self.call] = "yes"

    def calls(self) -> int:
        return self.desk.calls.count(self.call)

    async def step(self) -> Json:
        return await self.clerk.step(self.request, self.name)

    async def needs_person(self) -> None:
        await needs_person(self.clerk, self.request, self.name)

    async def until_told_of(self) -> Json:
        """The progress, as soon as it says that the saga waits for this errand."""

        async def told() -> Json | None:
            progress = await self.clerk.progress(self.request)
            return progress if progress["waits_for"] == self.name else None

        return await until(told)

    async def until_it_pauses(self) -> None:
        """Wait until a person may step in before the next try."""

        async def in_a_pause() -> bool:
            return "skip" in (await self.step()).get("verbs", [])

        await until(in_a_pause)

    async def tell(self, verb: str, **more: str) -> Json:
        """What a person says of this errand."""
        return await self.clerk.tell(self.request, verb, {**USER, "step": self.name, **more})

    async def result(self) -> Json:
        return await self.clerk.result(self.request)


InTrouble = Callable[..., Awaitable[Trouble]]


async def in_trouble(clerk: Teller, desk: Desk, call: str, word: Word, **more: Any) -> Trouble:
    """Start a saga whose call (`{}` runs the errand, `undo {}` takes it back) gets this word."""
    name = new_id("errand")
    call = call.format(name)
    desk.says[call] = word
    trouble = Trouble(clerk, desk, name, call, errands(name, then_undo=call != name, **more))
    await clerk.start(trouble.request)
    return trouble
