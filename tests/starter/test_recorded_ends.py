"""The end of a saga from its row, whatever stands in the row."""

import pytest

from ledger.read.sagas import SagaStory
from starter.cli.ledger import _standing


@pytest.mark.parametrize("request_on_record", [None, 7, "a", [], {"agent_id": "bot"}])
def test_an_end_is_told_whatever_the_request_on_record_is(request_on_record: object) -> None:
    row = {
        "workflow_id": "payment/rent",
        "kind": "payment",
        "state": "completed",
        "input": request_on_record,
        "result": {"state": "captured", "provider_reference": "TRF-1"},
    }
    told = _standing(SagaStory(row=row, step_rows=[], waits=[], events=[]))
    assert told.startswith("payment/rent: captured")
