"""Moments of a schedule that passed while Temporal was down, on a server of this file's own."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

from starter import Amends
from starter.client import schedule_runs
from starter.client.scheduled import Scheduled
from tests.support.closing import until_the_core_has_left
from tests.support.until import until
from worker.embedded.folder import DataFolder
from worker.embedded.ports import Ports
from worker.embedded.temporal import DevServer
from workflows.contract.admission import DATA_CONVERTER

# The least that the server takes.
CATCH_UP = timedelta(seconds=10)
EVERY_FOUR_SECONDS = "*/4 * * * * * *"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DevServer]:
    folder = DataFolder(tmp_path / "amends")
    folder.hold()
    ports = Ports(folder.path / "ports.json", {})
    server = DevServer(folder, ports)
    await server.start()
    yield server
    await server.stop()
    ports.close()
    folder.release()


async def test_what_a_server_that_was_down_did_not_catch_up_with_is_missed(
    server: DevServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_runs, "SETTLED", timedelta(seconds=1))
    client = await Client.connect(server.address, data_converter=DATA_CONVERTER)
    action = ScheduleActionStartWorkflow(
        "PaymentSaga", {}, id="payment/rent", task_queue="nobody-listens-here"
    )
    policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=CATCH_UP)
    spec = ScheduleSpec(cron_expressions=[EVERY_FOUR_SECONDS])
    handle = await client.create_schedule("rent", Schedule(action=action, spec=spec, policy=policy))

    async def has_run() -> bool:
        return (await handle.describe()).info.num_actions > 0

    await until(has_run)
    await server.stop()
    down = datetime.now(UTC)
    # Long enough that some moments lie beyond what is caught up with.
    await until(lambda: datetime.now(UTC) > down + 2 * CATCH_UP, 0.2)
    await server.restart()
    up = datetime.now(UTC)
    # Without a ledger: what can't be read there is asked of Temporal.
    amends = Amends(await Client.connect(server.address, data_converter=DATA_CONVERTER), {})

    async def missed() -> Scheduled | None:
        (shown,) = await amends.schedules.list()
        info = (await handle.describe()).info
        counted = info.num_actions_missed_catchup_window
        return shown if counted and len(shown.missed) == counted else None

    shown = await until(missed, 0.2)
    assert all(down - timedelta(seconds=1) < moment < up for moment in shown.missed)
    assert {str(run.outcome) for run in shown.runs} == {"running"}
    await handle.delete()
    await until_the_core_has_left()
