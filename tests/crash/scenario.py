"""What a scenario is: one way that a saga may go.

The client that plays a scenario knows nothing of what befalls the worker; so a saga may end in any
of its `ends`, and the laws say what must be true then.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.crash.play import Play
from tests.support.driver import USER, Json

Script = Callable[[Play], Awaitable[None]]
# A call outside that shows no life for so long is given up.
SOON_S = 1.5


@dataclass(frozen=True)
class Scenario:
    """`saga` is its kind and what its operation id ends in: `payment/pay`.

    `is_cancelled`: somebody cancels it, whatever its workers are doing. `is_parallel`: its steps
    run side by side. `lost_at`: its worker is killed there and its run is terminated; what befalls
    it comes later. `begins_at`: the places before this one are those of other scenarios.
    `is_soon_asked`: see Orders. `commits`: in how many commits its steps are done.
    `is_whole`: its points are always tried, before all others.
    """

    name: str
    saga: str
    ends: tuple[str, ...]
    script: Script
    heartbeat_s: float = SOON_S
    is_cancelled: bool = False
    is_parallel: bool = False
    lost_at: str | None = None
    begins_at: str | None = None
    is_soon_asked: bool = False
    commits: int | None = None
    is_whole: bool = False

    @property
    def kind(self) -> str:
        return self.saga.partition("/")[0]

    @property
    def room(self) -> str:
        """Which of the worker's task queues it needs."""
        return "infrastructure" if self.kind in ("change", "rollback") else "payments"

    def saga_id(self, prefix: str) -> str:
        """The saga that is crashed."""
        kind, _, name = self.saga.partition("/")
        return f"{kind}/{prefix}{name}"


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, saga: str, *ends: str, **more: Any) -> Callable[[Script], Script]:
    """The script is the scenario of this name; `more` is the rest of Scenario."""

    def keep(script: Script) -> Script:
        SCENARIOS[name] = Scenario(name, saga, ends, script, **more)
        return script

    return keep


def payment(
    name: str,
    pesos: int,
    *ends: str,
    tells: str | None = None,
    faults: Sequence[Json] = (),
    **more: Any,
) -> None:
    """A payment of so many pesos, and what somebody tells it once its decision is known. The bank
    makes these `faults`. `more` is of its request, where that has such a field, or of Scenario."""
    asked = {field: more.pop(field) for field in ("capture", "approve_within") if field in more}

    @scenario(name, "payment/pay", *ends, **more)
    async def play_it(play: Play) -> None:
        await play.asks(pesos, **asked)
        for fault in faults:
            await play.fault(**fault)
        if tells is None:
            await play.start()
        else:
            await play.submit()
            await play.tell(tells, {"actor": f"agent:{play.agent}"} if tells == "capture" else USER)
        if "lost_at" in more:
            await play.recover()
