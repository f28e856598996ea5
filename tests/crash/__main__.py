"""`make crash`: crash sagas of every scenario at every place, and print what was tried and broken.

    make crash                          400 of the points, the same ones each time
    make crash ARGS="--points 2000"     so many, or all there are
    make crash ARGS="--scenario NAME"      of one scenario; may be given again
    make crash ARGS=--write             the table goes into docs/guarantees.md as well

The last line is `N points, M laws broken`; the exit status is 1 when a law is broken.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.crash.every import SCENARIOS
from tests.crash.explorer import (
    Point,
    Tried,
    a_selection,
    findings,
    pairs_at,
    places_of,
    points_at,
    try_outage,
    try_points,
)
from tests.crash.ground import Ground, ground
from tests.crash.orders import POSTGRES_KILLED, TEMPORAL_KILLED
from tests.crash.table import table, write
from worker.embedded.servers import EmbeddedServers

# More than two processors can carry would only make each other wait.
AT_ONCE = 8
# What two processors try in a quarter of an hour.
POINTS = 400
# Of six points, one is a point where a second fault comes after the first.
OF_TWO_FAULTS = 6
# Where a server dies, and the other sagas that are under way then. Nobody of them tells a saga
# anything: what a client does whose call was cut off is not the question here.
COMPANY = (
    "payment captured",
    "payment expired",
    "payment refused by the bank",
    "policy set",
    "change applied",
    "change that fails and is undone",
)
OUTAGES = (
    ("payment captured", "before commit authorize: StepCommitted"),
    ("payment captured", "after bank transfer"),
    ("payment captured", "after commit execute transfer: StepDone"),
    ("payment refused by the bank", "before commit authorize: StepUndone"),
    ("change that fails and is undone", "before target delete app"),
)


async def main(scenarios: Sequence[str], most: int, writes: bool) -> int:
    """Returns how many laws are broken."""
    since = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="amends-crash-") as name:
        folder = Path(name)
        async with (
            EmbeddedServers(folder / "servers") as servers,
            ground(servers, "crash", folder) as here,
        ):
            tried = await explore(here, scenarios or list(SCENARIOS), most)
            found = await findings(here)
    shown = table(tried)
    for each in tried:
        for law in each.broken:
            print(f"broken at {each.point}: {law}")
    for law in found:
        print(f"broken in the whole: {law}")
    minutes = (time.monotonic() - since) / 60
    print(f"\n{shown}\n\n{minutes:.1f} minutes")
    laws = sum(len(each.broken) for each in tried) + len(found)
    last = f"{len(tried)} points, {laws} laws broken"
    if writes:
        write(f"{shown}\n\n{last}, in {minutes:.0f} minutes on {os.cpu_count()} cores.")
    print(last)
    return laws


async def explore(here: Ground, scenarios: Sequence[str], most: int) -> list[Tried]:
    """Find the places of these scenarios, and try their points, but not more than `most`."""
    # Few at once: a busy worker would repeat itself, and pass places that others don't.
    few = asyncio.Semaphore(3)

    async def look(scenario: str) -> list[str]:
        async with few:
            return await places_of(here, scenario)

    places = await asyncio.gather(*map(look, scenarios))
    points = [
        point
        for scenario, passed in zip(scenarios, places, strict=True)
        for point in points_at(scenario, passed)
    ]
    chosen = a_selection(points, most - most // OF_TWO_FAULTS)
    said = f"{len(chosen)} of {len(points)} points in {len(scenarios)} scenarios, and pairs of them"
    print(said, file=sys.stderr, flush=True)
    tried: list[Tried] = []
    for scenario, place in OUTAGES:
        for server in (POSTGRES_KILLED, TEMPORAL_KILLED):
            if scenario in scenarios:
                tried.append(await try_outage(here, Point(scenario, place, server), COMPANY))
                print(f"{tried[-1].point} {tried[-1].broken}", file=sys.stderr, flush=True)
    tried += await try_all(here, chosen)
    pairs = [pair for each in tried for pair in pairs_at(each)]
    return tried + await try_all(here, a_selection(pairs, most - len(chosen)))


async def try_all(here: Ground, points: Sequence[Point]) -> list[Tried]:
    """Try these points, and say how far it is."""
    tried: list[Tried] = []
    async for each in try_points(here, points, AT_ONCE):
        tried.append(each)
        if each.broken or len(tried) % 50 == 0:
            print(f"{len(tried)}: {each.point} {each.broken}", file=sys.stderr, flush=True)
    return tried


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash ARGS=", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, default=[])
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = _arguments()
    status = 1 if asyncio.run(main(arguments.scenario, arguments.points, arguments.write)) else 0
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the SDK's core may abort an interpreter that is going down.
    os._exit(status)
