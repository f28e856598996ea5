"""The saga of five steps on DBOS Transact: runs in a virtual environment of its own (rival.py).

Reads a line of JSON (`Rival.measure`) from stdin. Prints a line when it is ready to run many at
once, does so after another line, and prints a JSON document: `times_ms`, `per_s`, `own_s`. Each
step is a datasource transaction: the event and state rows that the same step of ours wrote, in one
statement.
"""

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from dbos import DBOS, AsyncSQLAlchemyDatasource, SetWorkflowID, SQLAlchemyDatasource

Json = dict[str, Any]

TASK: Json = json.loads(sys.stdin.readline())
CONNECTIONS = 20  # as many as our worker has
ENGINE = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_pre_ping": False}
# What ours has by default; DBOS's own default is SERIALIZABLE, and slower.
ISOLATION: Any = "READ COMMITTED"


def filled_in(step: Json, operation: str) -> Json:
    """The values of a step, of the saga with this operation id."""
    values = {
        name: value.replace(TASK["operation"], operation) if isinstance(value, str) else value
        for name, value in step["values"].items()
    }
    for name, aggregate in step["aggregates"].items():
        values[name] = str(uuid5(NAMESPACE_OID, values[aggregate]))
    for name in step["event_ids"]:
        place = name.removesuffix("_event_id")
        identity = values[f"{place.split('e')[0]}_aggregate_id"]
        version = int(values[f"{place}_version"])
        values[name] = f"{identity[:14]}8{identity[15:28]}{version:08x}"
    return values


DBOS(
    config={
        "name": "rival",
        "system_database_url": TASK["system_url"],
        "sys_db_pool_size": CONNECTIONS,
        "log_level": "ERROR",
    }
)


def threaded() -> Any:
    """The workflow in plain functions, each run in a thread."""
    source = SQLAlchemyDatasource.create(TASK["url"], engine_kwargs=ENGINE)

    @source.transaction(isolation_level=ISOLATION)
    def write(number: int, operation: str) -> Json:
        step = TASK["steps"][number]
        source.sql_session().connection().exec_driver_sql(
            step["statement"], filled_in(step, operation)
        )
        return {}

    @DBOS.workflow()
    def five(operation: str) -> str:
        for number in range(len(TASK["steps"])):
            write(number, operation)
        return operation

    return five


async def on_one_loop() -> Any:
    """The workflow in coroutines."""
    source = await AsyncSQLAlchemyDatasource.create(TASK["url"], engine_kwargs=ENGINE)

    @source.transaction(isolation_level=ISOLATION)
    async def write(number: int, operation: str) -> Json:
        step = TASK["steps"][number]
        connection = await source.sql_session().connection()
        await connection.exec_driver_sql(step["statement"], filled_in(step, operation))
        return {}

    @DBOS.workflow()
    async def five(operation: str) -> str:
        for number in range(len(TASK["steps"])):
            await write(number, operation)
        return operation

    return five


def operations(count: int) -> list[str]:
    return [f"rival-{uuid4().hex[:12]}" for _ in range(count)]


def measure_threads() -> Json:
    five = threaded()
    DBOS.launch()

    def run(operation: str) -> float:
        began = time.perf_counter()
        with SetWorkflowID(operation):
            five(operation)
        return (time.perf_counter() - began) * 1_000

    with ThreadPoolExecutor(TASK["at_once"]) as threads:
        list(threads.map(run, operations(TASK["warm_up"])))
        times_ms = [run(operation) for operation in operations(TASK["alone"])]
        cpu_s, began = begun()
        list(threads.map(run, operations(TASK["together"])))
    return told(times_ms, began, cpu_s)


async def measure_loop() -> Json:
    five = await on_one_loop()
    DBOS.launch()

    async def run(operation: str) -> float:
        began = time.perf_counter()
        with SetWorkflowID(operation):
            await five(operation)
        return (time.perf_counter() - began) * 1_000

    async def lane(left: Any) -> None:
        for operation in left:
            await run(operation)

    async def all_of(count: int) -> None:
        left = iter(operations(count))
        await asyncio.gather(*(lane(left) for _ in range(TASK["at_once"])))

    await all_of(TASK["warm_up"])
    times_ms = [await run(operation) for operation in operations(TASK["alone"])]
    cpu_s, began = begun()
    await all_of(TASK["together"])
    return told(times_ms, began, cpu_s)


def begun() -> tuple[float, float]:
    print("ready", flush=True)
    sys.stdin.readline()
    return time.process_time(), time.perf_counter()


def told(times_ms: list[float], began: float, cpu_s: float) -> Json:
    together = TASK["together"]
    return {
        "times_ms": times_ms,
        "per_s": together / (time.perf_counter() - began),
        "own_s": time.process_time() - cpu_s,
    }


if __name__ == "__main__":
    found = measure_threads() if TASK["form"] == "threads" else asyncio.run(measure_loop())
    print(json.dumps(found), flush=True)
    os._exit(0)
