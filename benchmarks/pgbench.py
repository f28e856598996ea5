"""pgbench, running statements of the product: what the server itself can do."""

import asyncio
import os
import re
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from psycopg.conninfo import conninfo_to_dict

from benchmarks.run import Run
from ledger.rendering import Statement
from worker.embedded.postgres import programs

# A lost race is run again, as ledger.commit does.
MAX_TRIES = 16


@dataclass(frozen=True)
class Script:
    """A script and its variables; those that are text travel as parameters, as the product's do."""

    text: str
    variables: dict[str, str]

    def after(self, line: str, **variables: str) -> Self:
        """The same after another line, with variables more."""
        return replace(self, text=f"{line}\n{self.text}", variables=self.variables | variables)


def filled_in(statement: Statement, expressions: Mapping[str, str]) -> str:
    """A statement of the product with an SQL expression for each of its values."""

    def expression(place: re.Match[str]) -> str:
        return f"({expressions[statement.names[int(place[1]) - 1]]})"

    return re.sub(r"\$(\d+)", expression, statement.text)


async def pgbench(url: str, script: Script, clients: int, commits: int) -> Run:
    """Run the script `commits` times, `clients` at once, each its own prepared session.

    Raises RuntimeError with pgbench's words when it fails, or when a script was given up.
    """
    with TemporaryDirectory(prefix="amends-pgbench-") as folder:
        path = Path(folder) / "script.sql"
        path.write_text(script.text)
        cpu_s, began = _cpu_s(), time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            programs() / "pgbench",
            *("--no-vacuum", "--protocol=prepared", f"--file={path}", f"--max-tries={MAX_TRIES}"),
            *(f"--client={clients}", f"--jobs={min(clients, 2)}"),
            f"--transactions={commits // clients}",
            *(f"--define={name}={value}" for name, value in script.variables.items()),
            env=os.environ | _environment(url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaints = (text.decode() for text in await process.communicate())
        elapsed_s = time.perf_counter() - began
    rate = re.search(r"^tps = ([0-9.]+)", out, re.MULTILINE)
    failed = re.search(r"^number of failed transactions: ([0-9]+)", out, re.MULTILINE)
    if process.returncode or rate is None or failed is None or failed[1] != "0":
        raise RuntimeError(f"pgbench ended with status {process.returncode}: {complaints}{out}")
    return Run(commits, elapsed_s, float(rate[1]), _cpu_s() - cpu_s)


def _environment(url: str) -> dict[str, str]:
    """libpq's variables: a password on the command line would be everybody's to read."""
    given = conninfo_to_dict(url)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    names["dbname"] = "PGDATABASE"
    return {names[name]: str(value) for name, value in given.items() if name in names}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
