"""Any value in any column or field: no reader ends in a traceback, and `verify` reports the row."""

import pytest
from temporalio.client import Client

from tests.ledger.conftest import Clone
from tests.ledger.fuzz_values import fuzz
from tests.support.closing import until_the_core_has_left
from worker.embedded.servers import EmbeddedServers


@pytest.mark.parametrize("seed", [12])
async def test_whatever_value_stands_in_a_row_or_an_event_it_is_named_and_the_others_are_read(
    clone: Clone, servers: EmbeddedServers, seed: int
) -> None:
    temporal = await Client.connect(servers.temporal.address)
    assert await fuzz(clone, 250, seed, temporal) == []
    await until_the_core_has_left()
