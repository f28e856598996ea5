"""DBOS Transact, to be set beside ours: its own environment, its own system database, our rows."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from benchmarks.pace import OWN, TEMPORAL, Amount, Measured, Spent, for_each

Json = dict[str, Any]

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "requirements" / "dbos.txt"
ENVIRONMENT = ROOT / ".venv-dbos"

EVENTS: LiteralString = """
    SELECT step, (to_jsonb(e) - 'position' - 'xid') AS row FROM ledger.event_log e
    WHERE saga_id = %s ORDER BY position"""
STATES: dict[str, LiteralString] = {
    "ledger.sagas": """
        SELECT to_jsonb(s) - 'xid' AS row FROM ledger.sagas s WHERE workflow_id = %s""",
    "ledger.saga_steps": """
        SELECT to_jsonb(s) - 'xid' AS row FROM ledger.saga_steps s WHERE saga_id = %s""",
    "ledger.agents": """
        SELECT to_jsonb(a) - 'xid' AS row FROM ledger.agents a
        WHERE aggregate IN (SELECT aggregate FROM ledger.event_log WHERE saga_id = %s)""",
}
# What the row of a saga is before it is closed.
OPEN = {"version": 1, "base": 0, "state": "running", "result": None, "ended_at": None}


@dataclass(frozen=True)
class Step:
    """What one step writes: one statement, its values, and which of them are new each time:
    `aggregates` names the id of an aggregate and where its name stands."""

    statement: str
    values: Mapping[str, Any]
    aggregates: Mapping[str, str]
    event_ids: Sequence[str]


@dataclass(frozen=True)
class Rival:
    """Where it writes, and what: the rows of the saga with this operation id, step by step."""

    url: str
    system_url: str
    operation: str
    steps: list[Step]

    async def measure(
        self, form: str, processes: int, amount: Amount, warm_up: int, spent_s: Spent
    ) -> Measured:
        """`form`: `threads` or `loop`. So many `processes` share the many at once; the first runs
        those that are alone. Raises RuntimeError when one fails; it has said why."""
        share = replace(
            amount,
            together=amount.together // processes,
            at_once=max(amount.at_once // processes, 1),
        )
        programs: list[asyncio.subprocess.Process] = []
        for number in range(processes):
            task = asdict(self) | asdict(share) | {"form": form, "warm_up": warm_up}
            programs.append(await _started(task | ({"alone": 0} if number else {})))
        before = spent_s()
        found = await asyncio.gather(*map(_run_together, programs))
        after = spent_s()
        done = share.together * processes
        cpu_ms = for_each(before, after, done)
        # Nothing of Temporal's, which idles beside it.
        cpu_ms |= {OWN: sum(each["own_s"] for each in found) / done * 1_000, TEMPORAL: 0.0}
        elapsed_s = max(share.together / each["per_s"] for each in found)
        return Measured(done / elapsed_s, found[0]["times_ms"], cpu_ms)


async def _started(task: Json) -> asyncio.subprocess.Process:
    """A program that is ready to run many at once."""
    process = await asyncio.create_subprocess_exec(
        *(ENVIRONMENT / "bin" / "python", ROOT / "benchmarks" / "rival_program.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(task).encode() + b"\n")
    await process.stdout.readline()
    return process


async def _run_together(process: asyncio.subprocess.Process) -> Json:
    out, _ = await process.communicate(b"go\n")
    if process.returncode:
        raise RuntimeError(f"the DBOS program ended with status {process.returncode}")
    found: Json = json.loads(out)
    return found


async def set_up() -> None:
    """Install DBOS where nothing of ours is, once for each version of its requirements."""
    mark = ENVIRONMENT / sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    if mark.exists():
        return
    print(f"setting up {ENVIRONMENT.name} (once)", file=sys.stderr)
    await _run(sys.executable, "-m", "venv", "--clear", ENVIRONMENT)
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
    await _run(ENVIRONMENT / "bin" / "python", *install, "--requirement", REQUIREMENTS)
    mark.touch()


async def _run(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait():
        raise RuntimeError(f"{command[0]} ended with status {process.returncode}")


async def steps_of(url: str, saga_id: str) -> list[Step]:
    """What each step of a saga of ours wrote."""
    async with await AsyncConnection.connect(url, row_factory=dict_row) as connection:
        events = await (await connection.execute(EVENTS, (saga_id,))).fetchall()
        states = {
            table: [
                row["row"] for row in await (await connection.execute(q, (saga_id,))).fetchall()
            ]
            for table, q in STATES.items()
        }
    [saga] = states.pop("ledger.sagas")
    names = list(dict.fromkeys(event["step"] for event in events))
    steps = []
    for number, name in enumerate(names):
        form = _Form()
        told = [event["row"] for event in events if event["step"] == name]
        form.insert("ledger.event_log", told)
        mine = {row["aggregate"] for row in told}
        for table, rows in states.items():
            form.insert(table, [row for row in rows if row["aggregate"] in mine])
        if number == 0:
            form.insert("ledger.sagas", [saga | OPEN])
        if number == len(names) - 1:
            form.update("ledger.sagas", saga, [*OPEN, "head_at", "head_hash"])
        steps.append(form.step())
    return steps


class _Form:
    """One statement that writes rows like these."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._values: Json = {}
        self._aggregates: dict[str, str] = {}
        self._event_ids: list[str] = []

    def insert(self, table: str, rows: list[Json]) -> None:
        columns = ", ".join(f'"{column}"' for column in rows[0])
        values = ", ".join(f"({', '.join(self._names(row))})" for row in rows)
        self._parts.append(f"INSERT INTO {table} ({columns}) VALUES {values}")

    def update(self, table: str, row: Json, columns: list[str]) -> None:
        names = dict(zip(row, self._names(row), strict=True))
        changes = ", ".join(f'"{column}" = {names[column]}' for column in columns)
        key = f"kind = {names['kind']} AND operation_id = {names['operation_id']}"
        self._parts.append(f"UPDATE {table} SET {changes} WHERE {key}")

    def _names(self, row: Json) -> list[str]:
        prefix = f"r{len(self._values)}_"
        for column, value in row.items():
            self._values[prefix + column] = json.dumps(value) if _is_json(value) else value
        self._aggregates[prefix + "aggregate_id"] = prefix + "aggregate"
        if "event_id" in row:
            self._event_ids.append(prefix + "event_id")
        return [f"%({prefix}{column})s" for column in row]

    def step(self) -> Step:
        *before, last = self._parts
        named = ", ".join(f"w{number} AS ({part})" for number, part in enumerate(before))
        statement = f"WITH {named} {last}"
        used = {name: value for name, value in self._values.items() if f"%({name})s" in statement}
        aggregates = {each: name for each, name in self._aggregates.items() if each in used}
        return Step(statement, used, aggregates, self._event_ids)


def _is_json(value: object) -> bool:
    return isinstance(value, dict | list)
