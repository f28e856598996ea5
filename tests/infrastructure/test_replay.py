"""Each scenario of a change and of a rollback replays: see tests/sagas/test_replay.py."""

import os

import pytest

from tests.infrastructure.driver import ChangeDriver, Target
from tests.infrastructure.scenarios import SCENARIOS, Site
from tests.support.replaying import RECORD, names, record, replay


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_run_of_each_scenario_replays(
    driver: ChangeDriver, target: Target, prefix: str, name: str
) -> None:
    handle = await SCENARIOS[name](Site(driver, target, prefix))
    history = await handle.fetch_history()
    await replay(name, history)
    if RECORD in os.environ:
        record(name, history)
    assert name in names(), "record it: python -m tests.record_histories"
