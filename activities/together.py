"""Carries out steps that follow each other as one activity, in one commit or in one each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, cached_property
from typing import Any, get_type_hints

from psycopg.errors import CheckViolation, DataError
from pydantic import JsonValue
from temporalio import activity

from activities.step import CARRIED_OUT, Claim, Request
from ledger.database import Database
from ledger.errors import Fenced, NeverWorks, TooMuchContention
from ledger.reading import read
from ledger.sagas.together import PART, NotTogether, Together

# What one step alone is refused for. Anything else is a failure of the whole.
_REFUSED = (NeverWorks, TooMuchContention, NotTogether, DataError, CheckViolation)

Method = Callable[[Claim, Any], Awaitable[Any]]


class AdjacentStep(Request):
    """A step beside others: its claim, the name of its activity and the request for it."""

    claim: Claim
    activity: str
    request: dict[str, JsonValue]


class AdjacentSteps(Request):
    """Steps that follow each other, in their order: in one commit, or `apart`, each in its own."""

    steps: list[AdjacentStep]
    apart: bool = False


class TogetherActivities:
    """Carries out activities of `rooms` that only touch our database, several in one activity."""

    def __init__(self, database: Database, rooms: Sequence[object]) -> None:
        self._database, self._rooms = database, rooms

    @cached_property
    def _methods(self) -> dict[str, Method]:
        return {
            name: getattr(room, name)
            for room in self._rooms
            for name in dir(room)
            if hasattr(getattr(room, name), "__temporal_activity_definition")
        }

    @activity.defn
    async def carry_out_steps(self, asked: AdjacentSteps) -> list[Any] | None:
        """Carries out the steps; returns their answers, or None where one of them is refused. Then
        nothing was written, or, `apart`, the steps before that one."""
        if asked.apart:
            return await self._apart(asked.steps)
        together = Together(self._database, len(asked.steps))

        async def one(number: int, step: AdjacentStep) -> Any:
            PART.set(together.part(number))
            try:
                return await self._one(step)
            except BaseException as error:
                together.leave(error)
                raise
            finally:
                together.leave(NotTogether(f"{step.activity} commits no step"))

        works = [one(number, step) for number, step in enumerate(asked.steps)]
        answers = await asyncio.gather(*works, return_exceptions=True)
        failures = [each for each in answers if isinstance(each, BaseException)]
        for failure in failures:
            if not isinstance(failure, _REFUSED):
                raise failure
        return None if failures else answers

    async def _apart(self, steps: Sequence[AdjacentStep]) -> list[Any] | None:
        try:
            return [await self._one(step) for step in steps]
        except Fenced:
            # On record by now.
            raise
        except _REFUSED:
            return None

    async def _one(self, step: AdjacentStep) -> Any:
        CARRIED_OUT.set(step.activity)
        method = self._methods[step.activity]
        [_, model] = _arguments(method)
        return await method(step.claim, read(model, step.request))


@cache
def _arguments(method: Method) -> list[Any]:
    hints = get_type_hints(method)
    return [hint for name, hint in hints.items() if name != "return"]
