"""The example of a saga of one's own, run as its README says: worker, warehouse and saga."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from examples.orders.warehouse import Warehouse
from examples.orders.worker import QUEUE, working
from ledger.audit.verify import verify
from ledger.database import Database
from tests.support.closing import until_the_core_has_left
from tests.support.driver import new_id


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return Warehouse(tmp_path_factory.mktemp("warehouse") / "warehouse.db")


@pytest.fixture(scope="module")
async def carried(client: Client, ledger: Database, warehouse: Warehouse) -> AsyncIterator[None]:
    async with working(client, ledger, warehouse):
        yield
    await until_the_core_has_left()


async def order(
    client: Client, *lines: tuple[str, Any], name: str = ""
) -> WorkflowHandle[Any, Any]:
    operation_id = name or new_id("order")
    wanted = {
        "operation_id": operation_id,
        "actor": "user:ana",
        "lines": [{"item": item, "count": count} for item, count in lines],
    }
    return await client.start_workflow(
        "OrderSaga", wanted, id=f"order/{operation_id}", task_queue=QUEUE
    )


async def nothing_is_wrong(ledger: Database) -> None:
    assert (await verify(ledger)).findings == []


async def test_an_order_in_stock_is_reserved_once(
    client: Client, ledger: Database, warehouse: Warehouse, carried: None
) -> None:
    warehouse.put("lamp", 5)
    first = await (await order(client, ("lamp", 2), name="once")).result()
    again = await (await order(client, ("lamp", 2), name="once")).result()
    assert first == again
    assert first["state"] == "reserved"
    assert warehouse.left("lamp") == 3
    await nothing_is_wrong(ledger)


async def test_a_line_out_of_stock_gives_back_the_lines_before_it(
    client: Client, ledger: Database, warehouse: Warehouse, carried: None
) -> None:
    warehouse.put("chair", 4)
    result = await (await order(client, ("chair", 4), ("table", 1))).result()
    assert (result["state"], result["reason"]) == ("compensated", "out_of_stock")
    assert result["residuals"] == []
    assert warehouse.left("chair") == 4
    await nothing_is_wrong(ledger)


async def test_an_order_of_nothing_is_refused_before_the_warehouse_is_called(
    client: Client, ledger: Database, carried: None
) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await (await order(client, ("lamp", 0))).result()
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "InvalidInput"
    assert "lines[0].count" in cause.message
    await nothing_is_wrong(ledger)


def test_a_key_that_was_cancelled_reserves_nothing_any_more(warehouse: Warehouse) -> None:
    warehouse.put("bench", 1)
    warehouse.cancel("late")
    assert warehouse.reserve("late", "bench", 1) == "cancelled"
    assert warehouse.left("bench") == 1
    assert warehouse.reserve("early", "bench", 1) == "reserved"
    warehouse.cancel("early")
    warehouse.cancel("early")
    assert warehouse.left("bench") == 1
