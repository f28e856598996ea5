"""Each scenario of a saga replays: what was recorded yesterday goes on under today's code.

A history under tests/histories/ is what a release may have left open on a server. Record a new
one (`python -m tests.record_histories`) when a scenario is added; a change that breaks an old one
needs `workflow.patched`, not a new recording.
"""

import os
from itertools import product

import pytest

from tests.sagas.conftest import Inject, NewAgent
from tests.sagas.scenarios import SCENARIOS, Stage
from tests.support.driver import Driver
from tests.support.probe import Probe
from tests.support.replaying import RECORD, DoesNotReplay, history_of, names, record, replay, saved


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_run_of_each_scenario_replays(
    driver: Driver, probe: Probe, inject: Inject, new_agent: NewAgent, name: str
) -> None:
    handle = await SCENARIOS[name](Stage(driver, probe, inject, new_agent))
    history = await handle.fetch_history()
    await replay(name, history)
    if RECORD in os.environ:
        record(name, history)
    assert name in names(), "record it: python -m tests.record_histories"


@pytest.mark.parametrize(
    ("name", "workflow_sandbox"),
    # A run of its own import takes longest, and differs from the others in no file.
    [*product(names(), ("on", "off")), ("payment-captured", "isolated")],
)
async def test_a_history_that_was_recorded_before_replays(name: str, workflow_sandbox: str) -> None:
    await replay(name, history_of(saved(name)), workflow_sandbox)
    assert not [word for word in ("site-packages", "/usr/", "/home/") if word in saved(name)]


@pytest.mark.parametrize(
    ("was", "would_be"),
    [
        ("execute_transfer", "reverse_transfer"),
        ("EVENT_TYPE_ACTIVITY_TASK_SCHEDULED", "EVENT_TYPE_TIMER_STARTED"),
    ],
)
async def test_a_history_of_other_code_does_not_replay_and_says_what_to_do(
    was: str, would_be: str
) -> None:
    other = saved("payment-captured").replace(f'"{was}"', f'"{would_be}"')
    with pytest.raises(DoesNotReplay, match=r"PaymentSaga no longer replays .* workflow\.patched"):
        await replay("payment-captured", history_of(other))
