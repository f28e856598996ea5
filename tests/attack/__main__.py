"""`python -m tests.attack [--rounds N] [--sagas N] [--seed N] [--mutations]`

Kills, races and attacks in SQL on an `amends up` of its own, and laws that SQL alone checks. The
same seed draws the same sagas, kills and attacks, all before the first one begins. The exit status
is 1 when a law is broken. With `--mutations` no process is killed: workers without some of their
rules run, one for each, and the exit status is 1 when the laws miss one.
"""

import argparse
import asyncio
import os
import random
import sys
import time

from tests.attack.mutated import unnoticed, unnoticed_fence
from tests.attack.mutations import MUTATIONS
from tests.attack.plan import Plan
from tests.attack.run import attacked, told


async def main(plan: Plan) -> bool:
    """Print the seed first, and the laws at the end; whether all hold."""
    print(f"seed {plan.seed}", flush=True)
    began = time.perf_counter()
    async with attacked(plan) as (_, _, outcome):
        print(f"{time.perf_counter() - began:.0f} s")
        print(told(plan, outcome))
    return not outcome.broken


async def mutations() -> bool:
    """Print the mutations that the laws miss; whether there is none."""
    async with attacked(Plan(rounds=0, sagas=0, seed=0)) as (place, clients, _):
        missed = await unnoticed(place, clients, [[name] for name in MUTATIONS])
        missed += await unnoticed_fence(place, clients)
    for name in missed:
        print(f"not noticed: {name}")
    print(f"{len(MUTATIONS) + 1} mutations, {len(missed)} not noticed")
    return not missed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make attack ARGS=", description=__doc__)
    for name, default in (("rounds", 100), ("sagas", 20), ("seed", random.randrange(10**6))):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--mutations", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    asked = _arguments()
    running = mutations() if asked.mutations else main(Plan(asked.rounds, asked.sagas, asked.seed))
    holds = asyncio.run(running)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the SDK's core may abort an interpreter that is going down.
    os._exit(0 if holds else 1)
