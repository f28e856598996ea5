"""Payments by the adapter `bind`, each with an agent of its own, at the BIND simulator."""

from dataclasses import dataclass
from typing import LiteralString

from activities.adapters.bind.origin_id import origin_id_of
from ledger.audit.verify import verify
from ledger.database import open_database
from tests.bank.simulator import BindSimulator, Fault
from tests.sagas.conftest import NewAgent
from tests.support.driver import Driver, Json, payment, saga_of
from tests.support.probe import Probe
from tests.support.until import until

TRANSFERS: LiteralString = """
    SELECT t.key, t.state, a.state AS authorization, s.state AS saga
    FROM ledger.transfers t JOIN ledger.authorizations a USING (authorization_id)
    JOIN ledger.sagas s ON s.workflow_id = t.key
    WHERE t.adapter = 'bind'"""


@dataclass(frozen=True)
class BindPayments:
    """`new` gives a payment with faults scripted; `check` compares all of them with the bank."""

    driver: Driver
    probe: Probe
    bank: BindSimulator
    new_agent: NewAgent

    async def new(self, *faults: Fault) -> Json:
        request = payment(await self.new_agent(), 45_000)
        for fault in faults:
            self.bank.script(self.origin(request), fault)
        return request

    def origin(self, request: Json) -> str:
        return origin_id_of(saga_of(request))

    def paid(self, request: Json) -> int:
        """How often the money of a payment moved."""
        return len(self.bank.moved(self.origin(request)))

    async def until_sent(self, request: Json) -> None:
        await until(lambda: ("transfer", self.origin(request)) in self.bank.seen)

    async def until_in(self, request: Json, state: str) -> None:
        async def is_in() -> bool:
            return await self.driver.is_in(request, state)

        await until(is_in, 0.05)


async def check(probe: Probe, bank: BindSimulator) -> None:
    """The ledger holds together; money has moved under a key exactly where it is captured, where
    it arrived after the end, or where nobody has found out yet."""
    async with open_database(probe.ledger_url, size=1) as database:
        assert (await verify(database)).findings == []
    for row in await probe.ledger(TRANSFERS):
        moved = len(bank.moved(origin_id_of(row["key"])))
        if row["saga"] == "running":
            continue
        ended = (row["saga"], row["authorization"], row["state"])
        captured = ("completed", "captured", "executed")
        assert (ended == captured or row["state"] == "arrived") == (moved == 1), (row, moved)
        assert moved <= 1
