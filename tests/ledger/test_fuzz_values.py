"""Any value in any column or field: no reader ends in a traceback, and `verify` reports the row."""

import pytest

from tests.ledger.conftest import Clone
from tests.ledger.fuzz_values import fuzz


@pytest.mark.parametrize("seed", [12])
async def test_whatever_value_stands_in_a_row_or_an_event_it_is_named_and_the_others_are_read(
    clone: Clone, seed: int
) -> None:
    assert await fuzz(clone, 250, seed) == []
