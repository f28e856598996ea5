"""`python -m tests.bank`: the BIND simulator as a process of its own, until it is ended. Its first
line is JSON: the settings of a worker that pays there."""

import asyncio
import contextlib
import json
import signal

from tests.bank.simulator import BindSimulator


async def main() -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with BindSimulator() as bank:
        print(json.dumps(bank.settings()), flush=True)
        await ended.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
