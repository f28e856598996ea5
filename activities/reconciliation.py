"""The activity that compares a bank's statement with the transfers, and opens a case for each
difference."""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Literal, cast
from zoneinfo import ZoneInfo

from pydantic import Field
from temporalio import activity

from activities.adapters.payment import Listing, PaymentAdapter
from activities.arrivals import look_again, look_of, record_arrivals
from activities.statement_files import compare_file, earlier_by_currency
from activities.statement_record import cases_of, event_of
from activities.statements.comparison import booking_name
from activities.statements.continuity import of_another_account
from activities.statements.entry import Statement, StatementRefused
from activities.statements.matching import MOST_NAMES
from activities.statements.periods import Coverage, periods_of
from activities.step import Claim, Request, heartbeat
from ledger.aggregates.case import CaseOpened, case_name
from ledger.aggregates.statement import (
    StatementReconciled,
    StatementState,
    statement_name,
)
from ledger.database import Database
from ledger.read.cases import case_counts
from ledger.read.statements import earlier_statements, seen_in_doubt, statement_on_record
from ledger.reading import read
from ledger.sagas.step_log import commit_step
from ledger.store.commit import Author, Decision, Loaded, Ref, commit
from ledger.times import parse_duration

# Cases in one commit: a few milliseconds each, so that nobody waits behind it.
CASES_AT_ONCE = 50
# What is more is rather a wrong file, or the file of another account.
MOST_DIFFERENCES = 10_000
_BLOCK_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}(?<!\.part)")


class StatementFile(Request):
    """A file of the folder, and its SHA-256."""

    name: str
    sha256: str


class ListedTime(Request):
    """The time of which the adapter lists what was booked."""

    begins_at: datetime
    ends_at: datetime


class Reconcile(Request):
    """Request to compare a file, or what the adapter lists, with the transfers."""

    statement: StatementFile | None = None
    listing: ListedTime | None = None
    arrived: bool = False
    booked_within: str = "P1D"
    time_zone: str = "UTC"


class Reconciled(Request):
    """What the statement came to; see `ReconcileResult`."""

    state: Literal["agreed", "differences", "refused"]
    statement_id: str | None = None
    matched: int = 0
    differences: int = 0
    kinds: dict[str, int] = Field(default_factory=dict)
    awaited: int = 0
    repeated: bool = False
    files: int = 1
    reason: str | None = None
    detail: str | None = None


class _NotUsable(Exception):
    """The statement can't be used; nothing of it was."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class ReconciliationActivities:
    """Compares statements of `folder` with the transfers of `adapter`; without a folder, only what
    the adapter lists. `accounts` are the accounts of the adapter, as the bank writes them; without
    them they are those of the statements before."""

    def __init__(
        self,
        database: Database,
        adapter: PaymentAdapter,
        folder: Path | None,
        accounts: frozenset[str] = frozenset(),
    ) -> None:
        self._database, self._adapter, self._folder = database, adapter, folder
        self._accounts = accounts

    @activity.defn
    async def compare_statement(self, claim: Claim, request: Reconcile) -> Reconciled:
        """Compares the statement, opens the cases, and records both; the same file again changes
        nothing.

        Before, the provider is asked again for transfers that moved nothing: what it has executed
        by now is one with the statement.

        Cases and statement are written before the step, some at a time: an attempt that is repeated
        finds those that are there, and their names say which they are.
        """
        async with heartbeat():
            look = look_of(self._adapter.name, claim.saga_id)
            seen = await look_again(self._database, self._adapter, claim.author(), look)
            if request.arrived:
                answer = await self._arrived(claim, request)
            else:
                answer = await self._one(claim, request)
            answer = _with_arrivals(answer, seen)

        def record(_: Loaded) -> Decision[dict[str, Any]]:
            return Decision(answer.model_dump(mode="json"))

        step = claim.step_claim(request)
        stored = await commit_step(self._database, claim.author(), step, [], record)
        return read(Reconciled, stored)

    async def _one(self, claim: Claim, request: Reconcile) -> Reconciled:
        try:
            with await self._opened(request) as file:
                return await self._compared(claim, request, file)
        except _NotUsable as error:
            return Reconciled(state="refused", reason=error.reason, detail=error.detail)

    async def _arrived(self, claim: Claim, request: Reconcile) -> Reconciled:
        """What the files of the folder come to that are not on record, the oldest first; one that
        can't be used does not stop the others."""
        found = []
        for path in _files(self._folder) if self._folder else ():
            try:
                with path.open("rb") as file:
                    digest = await asyncio.to_thread(_digest, file)
            except OSError as error:
                unread = Reconciled(
                    state="refused", reason="unreadable_file", detail=f"{error.strerror}"
                )
                found.append((path.name, unread))
                continue
            statement_id = f"{self._adapter.name}-{digest}"
            known = await statement_on_record(self._database, statement_id)
            if known is not None and known.saga_id == claim.saga_id:
                # By an attempt before this one, whose answer was lost.
                found.append((path.name, await self._on_record(claim, known)))
            elif known is None:
                named = StatementFile(name=path.name, sha256=digest)
                one = await self._one(claim, request.model_copy(update={"statement": named}))
                found.append((path.name, one))
        refused = [f"{name}: {one.detail}" for name, one in found if one.state == "refused"]
        compared = [one for _, one in found if one.state != "refused"]
        kinds: Counter[str] = Counter()
        for one in compared:
            kinds.update(one.kinds)
        differences = sum(one.differences for one in compared)
        return Reconciled(
            state="refused" if refused else "differences" if differences else "agreed",
            matched=sum(one.matched for one in compared),
            differences=differences,
            kinds=dict(kinds),
            # Each statement takes over what those before it await.
            awaited=compared[-1].awaited if compared else 0,
            files=len(found),
            reason="statement_refused" if refused else None,
            detail="; ".join(refused)[:1_000] or None,
        )

    async def _opened(self, request: Reconcile) -> BinaryIO:
        """The file at its beginning, or what the adapter lists, as a temporary file."""
        if request.listing is not None:
            return await self._listed(request.listing)
        assert request.statement is not None
        if self._folder is None:
            raise _NotUsable("no_folder", "the worker has no AMENDS_STATEMENTS: set it, or --from")
        path = self._folder / request.statement.name
        try:
            file = path.open("rb")
        except OSError as error:
            raise _NotUsable(
                "file_not_found",
                f"the worker can't open the file in its folder AMENDS_STATEMENTS: {error.strerror}",
            ) from None
        if await asyncio.to_thread(_digest, file) != request.statement.sha256:
            file.close()
            raise _NotUsable("other_file", "the file in the worker's folder has another SHA-256")
        return file

    async def _listed(self, listing: ListedTime) -> BinaryIO:
        if not isinstance(self._adapter, Listing):
            raise _NotUsable("no_listing", f"the adapter {self._adapter.name} has no list")
        # Closed by who asked for it.
        file = cast(BinaryIO, TemporaryFile())  # noqa: SIM115
        pieces = self._adapter.statement(listing.begins_at, listing.ends_at)
        async with aclosing(pieces) as found:
            async for piece in found:
                file.write(piece.encode())
        file.seek(0)
        return file

    async def _compared(self, claim: Claim, request: Reconcile, file: BinaryIO) -> Reconciled:
        adapter = self._adapter.name
        statement_id = f"{adapter}-{await asyncio.to_thread(_digest, file)}"
        if (before := await statement_on_record(self._database, statement_id)) is not None:
            return await self._on_record(claim, before)
        recorded, missing = await earlier_statements(self._database, adapter)
        within = parse_duration(request.booked_within)
        seen = frozenset(
            booking_name(cast(Literal["credit", "debit"], direction), transfer)
            for direction, transfer in await seen_in_doubt(self._database, adapter)
        )

        def coverage(statements: list[Statement]) -> Coverage:
            periods = periods_of(statements)
            earlier = earlier_by_currency(recorded, missing, periods)
            return Coverage(periods, within, earlier, seen)

        try:
            compared = await compare_file(
                file,
                self._database,
                adapter,
                self._adapter.known_as,
                ZoneInfo(request.time_zone),
                coverage,
                MOST_DIFFERENCES,
            )
        except StatementRefused as error:
            raise _NotUsable("statement_refused", str(error)) from None
        if request.listing is None:
            self._check_account(compared.statements, recorded)
        if compared.outcome.more:
            raise _NotUsable(
                "too_many_differences",
                f"more than {MOST_DIFFERENCES:,} differences, or {MOST_NAMES:,} bookings at the "
                "end of the period: is it the file of this account, and --bank-time-zone right?",
            )
        cases = cases_of(statement_id, compared, recorded)
        arrived = [each for each in cases if each.kind == "arrived"]
        await record_arrivals(self._database, claim.author(), arrived)
        await self.open_cases(claim.author(), [each for each in cases if each.kind != "arrived"])
        name = request.statement.name if request.statement else "list"
        event = event_of(statement_id, claim.saga_id, name, adapter, compared, len(cases))
        await self._record(claim.author(), event)
        return _answer(event, cases)

    def _check_account(
        self, statements: Sequence[Statement], recorded: Sequence[StatementState]
    ) -> None:
        """Raises _NotUsable for the statement of an account that is none of the adapter's."""
        if (other := of_another_account(statements, recorded, self._accounts)) is None:
            return
        known = "AMENDS_STATEMENT_ACCOUNTS names" if self._accounts else "came before"
        raise _NotUsable(
            "other_account",
            f"statement {other.statement + 1} of the file is of another account than {known}: is "
            "it the file of this adapter? Else set AMENDS_STATEMENT_ACCOUNTS to all accounts",
        )

    async def _record(self, author: Author, event: StatementReconciled) -> None:
        name = statement_name(event.statement_id)

        def decide(loaded: Loaded) -> Decision[None]:
            return Decision(None, [] if loaded[name] is not None else [(name, event)])

        await commit(self._database, author, [Ref(name)], decide)

    async def _on_record(self, claim: Claim, before: StatementState) -> Reconciled:
        return Reconciled(
            state="differences" if before.differences else "agreed",
            statement_id=before.statement_id,
            matched=before.matched,
            differences=before.differences,
            kinds=await case_counts(self._database, before.statement_id),
            awaited=len(before.awaited),
            # Else an attempt of this saga has recorded it.
            repeated=before.saga_id != claim.saga_id,
        )

    async def open_cases(self, author: Author, cases: Sequence[CaseOpened]) -> None:
        """Opens the cases that are not there, some in each commit: a repeat finds the others."""
        for first in range(0, len(cases), CASES_AT_ONCE):
            some = {case_name(each.case_id): each for each in cases[first : first + CASES_AT_ONCE]}

            def decide(loaded: Loaded, some: dict[str, CaseOpened] = some) -> Decision[None]:
                new = [(name, case) for name, case in some.items() if loaded[name] is None]
                return Decision(None, list(new))

            await commit(self._database, author, [Ref(name) for name in some], decide)


def _with_arrivals(answer: Reconciled, seen: int) -> Reconciled:
    """The answer, with the transfers that the provider was found to have executed by now."""
    if not seen:
        return answer
    kinds = answer.kinds | {"arrived": answer.kinds.get("arrived", 0) + seen}
    counted = {"kinds": kinds, "differences": answer.differences + seen}
    refused = answer.state == "refused"
    return answer.model_copy(update=counted | ({} if refused else {"state": "differences"}))


def _files(folder: Path) -> list[Path]:
    """The files of banks in the folder, the oldest first; what is being copied is none yet."""
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file()]
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))


def _digest(file: BinaryIO) -> str:
    """The SHA-256 of the file, which is at its beginning before and after."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


def _answer(event: StatementReconciled, cases: Sequence[CaseOpened]) -> Reconciled:
    kinds: dict[str, int] = {}
    for case in cases:
        kinds[case.kind] = kinds.get(case.kind, 0) + 1
    return Reconciled(
        state="differences" if cases else "agreed",
        statement_id=event.statement_id,
        matched=event.matched,
        differences=event.differences,
        kinds=kinds,
        awaited=len(event.awaited),
    )
