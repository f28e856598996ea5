"""Workers of the product without some of its rules, beside the right one, and whether the laws
notice."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import psutil

from tests.attack.laws import LAWS, broken
from tests.attack.load import Clients
from tests.attack.mutations import FENCE, MUTATIONS, a_role, stories
from tests.attack.plan import first_stories
from tests.attack.run import Place, scene
from tests.embedded.amends_up import DEADLINE_S

# Whose laws are others each: one worker may have them all, as in the suite.
TOGETHER = tuple(name for name in MUTATIONS if name != "no threshold")


async def unnoticed(place: Place, clients: Clients, together: Sequence[Sequence[str]]) -> list[str]:
    """The mutations whose law is broken by no saga of theirs. Those of one group are in one worker,
    and each worker has task queues and agents of its own."""
    few = asyncio.Semaphore(3)

    async def one(number: int, names: Sequence[str]) -> None:
        prefix = f"m{number}-"
        async with few, _worker(place, prefix, names) as _:
            theirs = Clients(clients.client, clients.bank_url, _queues(prefix))
            await theirs.carry_out(first_stories(prefix))
            await theirs.carry_out(stories(prefix))
        clients.join(theirs)

    await asyncio.gather(*(one(number, names) for number, names in enumerate(together)))
    wanted = [(f"m{n}-", name) for n, names in enumerate(together) for name in names]
    return await _not_broken(place, clients, [(p, n, MUTATIONS[n].law) for p, n in wanted])


async def unnoticed_fence(place: Place, clients: Clients) -> list[str]:
    """A worker freezes ahead of a commit, another one goes on with its saga, which is cancelled;
    then the first one wakes up, and has no fence."""
    prefix = "fence-"
    theirs = Clients(clients.client, clients.bank_url, _queues(prefix))
    kind, request = a_role(prefix)
    saga_id = f"{kind}/{request['operation_id']}"
    async with _worker(place, prefix, ["no fence"]) as first:
        await theirs.start(kind, request)
        frozen = psutil.Process(first.pid)
        async with asyncio.timeout(DEADLINE_S):
            while frozen.status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        async with _worker(place, prefix, []):
            await theirs.tell(saga_id, "cancel", "user:u-1")
            await theirs.end(kind, request)
            frozen.resume()
            clients.join(theirs)
            missed = ["no fence"]
            with suppress(TimeoutError):
                async with asyncio.timeout(DEADLINE_S):
                    while missed:
                        wanted = [(prefix, "no fence", FENCE.law)]
                        missed = await _not_broken(place, clients, wanted)
                        await asyncio.sleep(0.2)
    return missed


async def _not_broken(
    place: Place, clients: Clients, wanted: Sequence[tuple[str, str, str]]
) -> list[str]:
    async with scene(place, clients) as looked_at:
        found = await broken(looked_at)
    return [
        name
        for prefix, name, begins in wanted
        for law in LAWS
        if law.startswith(begins) and not any(prefix in each for each in found.get(law, []))
    ]


def _queues(prefix: str) -> dict[str, str]:
    return {name: f"{prefix}{name}" for name in ("payments", "infrastructure", "sweep")}


@asynccontextmanager
async def _worker(place: Place, prefix: str, names: Sequence[str]) -> AsyncIterator[Process]:
    module = ("tests.attack.mutations", ",".join(names)) if names else ()
    queues = {f"AMENDS_{name.upper()}_QUEUE": queue for name, queue in _queues(prefix).items()}
    # Without a sandbox a workflow sees what is put in the place of a method.
    settings = {**queues, "AMENDS_WORKFLOW_SANDBOX": "off"}
    async with place.worker(*module, settings=settings) as process:
        yield process
