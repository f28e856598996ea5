"""How `verify` runs: beside writers, in several processes, since a position."""

import asyncio
import multiprocessing
import sys
from dataclasses import replace
from datetime import datetime
from itertools import count

import psutil
import psycopg
import pytest

from ledger.aggregates.authorization import AuthorizationApproved
from ledger.aggregates.mandate import evolve
from ledger.aggregates.spend_window import SpendChange
from ledger.audit.verify import verify
from ledger.database import Database, open_database
from ledger.errors import ShareLost, StateRefused
from tests.ledger.conftest import Clone
from tests.ledger.writing import (
    BOT,
    mandate_granted,
    open_payment,
    register,
    requested,
    reserve,
    window,
    write,
)

CHANGED_BOT = f"UPDATE ledger.agents SET \"user\" = 'x' WHERE aggregate = '{BOT}'"
WINDOW = "UPDATE ledger.spend_windows SET"


@pytest.fixture
def template(intact_template: str) -> str:
    return intact_template


async def test_running_writers_do_no_harm(clone: Clone, database: Database) -> None:
    looked = asyncio.Event()

    async def write(number: int) -> int:
        for turn in count(1):
            await register(database, f"bot-{number % 3}")
            await open_payment(database, paid := f"a-{number}-{turn}")
            await reserve(database, paid, 10)
            if looked.is_set():
                break
        return turn

    async with open_database(clone.auditor, size=1) as auditor:
        async with asyncio.TaskGroup() as group:
            writers = [group.create_task(write(number)) for number in range(6)]
            for _ in range(2):
                assert (await verify(auditor)).findings == []
            looked.set()
        turns = sum(writer.result() for writer in writers)
        assert (await verify(auditor)).events == 13 + 4 * turns


async def test_several_processes_find_what_one_finds_and_one_killed_is_an_error_and_never_clean(
    clone: Clone,
) -> None:
    async with open_database(clone.auditor, size=2) as auditor:
        verifying = asyncio.create_task(verify(auditor, processes=2))
        while not (children := multiprocessing.active_children()):
            assert not verifying.done()
            await clone.fetch("SELECT")
        children[0].kill()
        with pytest.raises(ShareLost, match="was killed"):
            await verifying
        await clone.damage(CHANGED_BOT, "DELETE FROM ledger.sagas", WINDOW + " count = 7")
        alone = await verify(auditor)
        for processes in (2, 3):
            shared = await verify(auditor, processes=processes)
            # Meanwhile more may have settled.
            assert shared == replace(alone, settled=shared.settled)
    assert len(alone.findings) == 3


async def test_its_processes_end_with_a_verification_that_is_killed() -> None:
    program = (
        "from multiprocessing import get_context\n"
        "from ledger.audit.apart import end_with_parent\n"
        "if __name__ == '__main__':\n"
        " child = get_context('spawn').Process(target=end_with_parent)\n"
        " child.start()\n"
        " print(child.pid, flush=True)\n"
        " child.join()\n"
    )
    verifying = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdout=asyncio.subprocess.PIPE
    )
    assert verifying.stdout is not None
    child = psutil.Process(int(await verifying.stdout.readline()))
    verifying.kill()
    await verifying.wait()
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [child], timeout=30)
    assert gone == [child]


async def test_since_a_position_only_what_was_touched_is_read(
    clone: Clone, database: Database
) -> None:
    await open_payment(database, "third")
    before = await clone.verify()
    [(last, now)] = await clone.fetch(
        "SELECT max(position), clock_timestamp() FROM ledger.event_log"
    )
    assert isinstance(last, int)
    assert isinstance(now, datetime)
    # Older damage elsewhere is what such a run does not see, and it says so.
    await clone.damage("UPDATE ledger.agents SET agent_id = 'x' WHERE agent_id = 'other-bot'")
    await register(database)
    await reserve(database, "a-3", 10, "payment/third")
    async with open_database(clone.auditor, size=2) as auditor:
        for since in (last, now):
            found = await verify(auditor, since=since)
            assert (found.aggregates, found.events, found.since) == (2, 5 + 2, last)
            assert found.clean
            assert len(found.cannot_detect) > len(before.cannot_detect)
        await clone.damage(CHANGED_BOT, WINDOW + " count = 7")
        kinds = [each.kind for each in (await verify(auditor, since=last, processes=2)).findings]
        assert kinds == ["state", "spend_window"]
        with pytest.raises(StateRefused, match="has not reached"):
            await verify(auditor, since=2**62)


async def test_since_a_position_the_window_of_a_mandate_counts_all_agents_under_it(
    clone: Clone, database: Database
) -> None:
    chain = [
        mandate_granted("top"),
        mandate_granted("part", "top", agent_id="other-bot"),
    ]
    for each in chain:
        await write(database, f"mandate/{each.mandate_id}", each)
    for number, mandates in enumerate((chain[:1], chain)):
        agent = mandates[-1].agent_id
        await open_payment(database, f"m-{number}")
        [(last,)] = await clone.fetch("SELECT max(position) FROM ledger.event_log")
        asked = requested(f"m-{number}", 10).changed(
            agent_id=agent, mandates=[each.mandate_id for each in mandates]
        )
        spend = [SpendChange(window=window(agent), amount_minor=10, count=1)]
        spend += [evolve(None, each).spend(10) for each in mandates]
        approved = AuthorizationApproved(automatic=True, spend=spend, binding="b")
        await write(database, f"authorization/m-{number}", asked, approved)
    assert isinstance(last, int)
    async with open_database(clone.auditor, size=2) as auditor:
        assert (await verify(auditor, since=last)).findings == []
        await clone.damage("UPDATE ledger.spend_windows SET count = 7 WHERE period = 'mandate'")
        found = (await verify(auditor, since=last)).findings
    assert {each.where.split("/ARS")[0] for each in found} == {
        "spend window mandate/part",
        "spend window mandate/top",
    }


async def test_what_is_settled_waits_for_whoever_may_still_add_to_it(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(last,)] = await clone.fetch("SELECT max(position) FROM ledger.event_log")
    assert (await clone.verify()).settled == last
    monkeypatch.setattr("ledger.audit.verify.PATIENCE_S", 0.1)
    async with await psycopg.AsyncConnection.connect(clone.owner) as other:
        # As a commit that has its position and does not end.
        await other.execute("LOCK TABLE ledger.event_log IN ROW EXCLUSIVE MODE")
        found = await clone.verify()
    assert (found.settled, found.clean) == (None, True)
