"""Carries out steps that follow each other in one commit, as one activity."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, cached_property
from typing import Any, get_type_hints

from psycopg.errors import CheckViolation, DataError
from pydantic import JsonValue
from temporalio import activity

from activities.step import CARRIED_OUT, Claim, Request
from ledger.database import Database
from ledger.errors import NeverWorks, TooMuchContention
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
    """Steps that follow each other, in their order."""

    steps: list[AdjacentStep]


class TogetherActivities:
    """Carries out activities of `rooms` that only touch our database, several in one commit."""

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
        """Carries out the steps in one commit; returns their answers, or None where that can't be,
        as one of them is refused: then nothing was written."""
        together = Together(self._database, len(asked.steps))

        async def one(number: int, step: AdjacentStep) -> Any:
            PART.set(together.part(number))
            CARRIED_OUT.set(step.activity)
            try:
                method = self._methods[step.activity]
                [_, model] = _arguments(method)
                return await method(step.claim, read(model, step.request))
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


@cache
def _arguments(method: Method) -> list[Any]:
    hints = get_type_hints(method)
    return [hint for name, hint in hints.items() if name != "return"]
