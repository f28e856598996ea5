"""Each shape of a change and of a rollback replays: see tests/sagas/test_replay.py."""

import os

import pytest

from tests.infrastructure.asking import Asking, Target
from tests.infrastructure.shapes import SHAPES, Site
from tests.replaying import RECORD, names, record, replay


@pytest.mark.parametrize("name", SHAPES)
async def test_a_run_of_each_shape_replays(
    asking: Asking, target: Target, prefix: str, name: str
) -> None:
    handle = await SHAPES[name](Site(asking, target, prefix))
    history = await handle.fetch_history()
    await replay(name, history)
    if RECORD in os.environ:
        record(name, history)
    assert name in names(), "record it: python -m tests.record_histories"
