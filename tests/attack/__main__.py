"""`python -m tests.attack [--rounds N] [--sagas N] [--seed N]`

Kills, races and attacks in SQL on an `amends up` of its own, and laws that SQL alone checks. The
same seed draws the same sagas, kills and attacks, in the order in which they begin. The exit status
is 1 when a law is broken.
"""

import argparse
import asyncio
import os
import random
import sys
import time

from tests.attack.run import Plan, attacked, told


async def main(plan: Plan) -> bool:
    """Print the seed first, and the laws at the end; whether all hold."""
    print(f"seed {plan.seed}", flush=True)
    began = time.perf_counter()
    async with attacked(plan) as (_, _, outcome):
        print(f"{time.perf_counter() - began:.0f} s")
        print(told(plan, outcome))
    return not outcome.broken


def _arguments() -> Plan:
    parser = argparse.ArgumentParser(prog="make attack ARGS=", description=__doc__)
    for name, default in (("rounds", 100), ("sagas", 20), ("seed", random.randrange(10**6))):
        parser.add_argument(f"--{name}", type=int, default=default)
    return Plan(**vars(parser.parse_args()))


if __name__ == "__main__":
    holds = asyncio.run(main(_arguments()))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the SDK's core may abort an interpreter that is going down.
    os._exit(0 if holds else 1)
