"""What a reconciliation costs: a file of the bank against as many transfers of the ledger."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from activities.statements import camt_writer
from activities.statements.entry import Entry, Statement, Totals
from activities.statements.ids import end_to_end_id
from benchmarks.ledgers import Ledger, migrated
from benchmarks.part import Part
from benchmarks.table import Table
from worker.embedded.servers import EmbeddedServers

WITHIN_S, PEAK_MB = 120, 300
AMOUNT_MINOR = 12_345
BEGINS = datetime(2026, 11, 2, tzinfo=UTC)
ENDS = BEGINS + timedelta(days=1)
# Of so many transfers one is missing in the file, one has another amount, one is there twice, and
# one entry is of none.
_ONE_IN = 1_000
# Past the rules, and rows alone: a reconciliation reads no log but that of reversed transfers.
_FILL = """
    INSERT INTO ledger.transfers
    SELECT gen_random_uuid(), 'transfer/' || n, 2, 1, '{at}', sha256('')::bytea,
        pg_current_xact_id(), n::text, 'a' || n, 'payment/bench-' || n, 'mock',
        'payment/bench-' || n, {amount}, 'ARS', '2850590940090418135201', 'executed',
        'TRF-' || n, NULL, 0, 0
    FROM generate_series(0, {count} - 1) AS n
"""


@dataclass(frozen=True)
class Size:
    """So many entries against so many transfers."""

    entries: int


WHOLE, SMALL = Size(1_000_000), Size(5_000)


async def measure(servers: EmbeddedServers, size: Size) -> AsyncGenerator[Part, None]:
    """The one part that there is: the two formats, each read in a process of its own."""
    table = Table(
        "file | MB | entries | transfers | differences | seconds | of processor | peak MB"
    )
    findings = []
    async with migrated(servers, "reconcile") as ledgers:
        ledger = await ledgers.new(partitions=1)
        fill = _FILL.format(at=BEGINS.isoformat(), amount=AMOUNT_MINOR, count=size.entries)
        await ledger.execute(
            f"BEGIN; SET LOCAL session_replication_role = replica; {fill}; COMMIT",
            "VACUUM (ANALYZE) ledger.transfers",
        )
        with TemporaryDirectory() as folder:
            for name, pieces in (("camt.053", _camt), ("MT940", _mt940)):
                path = Path(folder) / name
                entries = await asyncio.to_thread(_write, path, pieces(_numbers(size.entries)))
                found = await _reconcile(ledger, path)
                mb = path.stat().st_size / 2**20
                seconds = f"{found['seconds']:.0f} (at most {WITHIN_S})"
                peak = f"{found['peak_mb']:.0f} (at most {PEAK_MB})"
                told = sum(found["kinds"].values())
                cells = (f"{mb:.0f}", f"{entries:,}", f"{size.entries:,}", f"{told:,}")
                table.add(name, *cells, seconds, f"{found['processor_s']:.0f}", peak)
                wanted = -(-size.entries // _ONE_IN)
                kinds = ("here_not_there", "different", "twice", "there_not_here")
                if found["kinds"] != dict.fromkeys(kinds, wanted):
                    findings.append(f"{name}: {found['kinds']}, not {wanted} of each kind")
    yield Part("Reconciliation", table, findings)


def _numbers(count: int) -> Iterator[tuple[int, int]]:
    """The number and the amount of each entry; a number beyond `count` is of no transfer."""
    for number in range(count):
        kind = number % _ONE_IN
        if kind == 0:
            yield count + number, AMOUNT_MINOR
        elif kind == 1:
            yield number, AMOUNT_MINOR + 1
        else:
            yield number, AMOUNT_MINOR
        if kind == 2:
            yield number, AMOUNT_MINOR


def _camt(numbers: Iterable[tuple[int, int]]) -> Iterator[str]:
    statement = Statement(
        statement=0,
        id="S",
        account="A",
        complete=True,
        begins_at=BEGINS,
        ends_at=ENDS,
        totals={"ARS": Totals()},
    )
    entries = ([_entry(number, amount)] for number, amount in numbers)
    return camt_writer.written("M", ENDS, [(statement, entries)])


def _entry(number: int, amount_minor: int) -> Entry:
    return Entry(
        statement=0,
        number=number,
        status="booked",
        direction="debit",
        amount_minor=amount_minor,
        currency="ARS",
        booked_on=date(2026, 11, 2),
        # Every other one by its reference.
        reference=f"TRF-{number}" if number % 2 else None,
        end_to_end_id=end_to_end_id(f"payment/bench-{number}"),
    )


def _mt940(numbers: Iterable[tuple[int, int]]) -> Iterator[str]:
    yield ":20:S\r\n:25:A\r\n:28C:1/1\r\n:60F:C261101ARS0,\r\n"
    for number, amount_minor in numbers:
        entry = _entry(number, amount_minor)
        amount = camt_writer.decimal_text(amount_minor, "ARS").replace(".", ",")
        yield f":61:2611021102D{amount}NTRFNONREF//{entry.reference or ''}\r\n"
        yield f":86:/EREF/{entry.end_to_end_id}/\r\n"
    yield ":62F:D261102ARS0,\r\n-\r\n"


def _write(path: Path, pieces: Iterator[str]) -> int:
    """Write the file; returns how many entries it has."""
    count = 0
    with path.open("w") as file:
        for piece in pieces:
            count += piece.startswith(("<Ntry>", ":61:"))
            file.write(piece)
    return count


async def _reconcile(ledger: Ledger, path: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.reconcile_program", str(path)),
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"AMENDS_AUDIT_URL": ledger.auditor},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the reconciliation ended with status {process.returncode}")
    found: dict[str, Any] = json.loads(out)
    return found
