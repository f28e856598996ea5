"""Sagas whose steps follow each other, in one commit or in one each; also where that fails, and the
steps are carried out one by one."""

from tests.crash.adjacent_saga import NAMES
from tests.crash.play import Play
from tests.crash.registrations import Meets
from tests.crash.scenario import scenario


def adjacent(name: str, end: str, *, commits: int, apart: bool = False, **meets: Meets) -> None:
    """Three steps, what some of them meet, and the number of commits in which they are done."""

    # After a fallback, it depends on how busy the processors are where whoever goes on begins: a
    # second fault finds its place as in a saga whose steps run side by side.
    @scenario(
        name,
        "adjacent/steps",
        end,
        commits=commits,
        is_whole=not meets,
        is_parallel=bool(meets),
    )
    async def play_it(play: Play) -> None:
        agents = [
            {"agent_id": f"{play.prefix}{each}", "meets": meets.get(each, "nothing")}
            for each in NAMES
        ]
        await play.start_saga("AdjacentSaga", "adjacent", "steps", agents=agents, apart=apart)


adjacent("steps in one commit", "registered", commits=1)
adjacent("steps apart", "registered", commits=3, apart=True)
adjacent("steps in one commit, one refused", "compensated", commits=2, c="a refusal")
adjacent("steps apart, one refused", "compensated", commits=2, apart=True, c="a refusal")
adjacent("steps in one commit, one loses its races", "registered", commits=3, b="a lost race")
adjacent("steps apart, one loses its races", "registered", commits=3, apart=True, b="a lost race")
