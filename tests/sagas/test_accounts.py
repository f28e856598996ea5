"""To which accounts money goes: the forms of a destination, and what an adapter pays to."""

from collections.abc import Collection

import pytest
from temporalio.client import Client

from activities.adapters.mock import MockBank
from activities.adapters.payment import ACCOUNT_KINDS, AccountKind
from activities.authorizations import AuthorizationActivities
from activities.saga_records import SagaActivities
from activities.step_records import StepRecords
from activities.transfers import TransferActivities
from ledger.aggregates.amounts import published
from ledger.database import Database
from tests.sagas.conftest import NewAgent, Place
from tests.support.driver import CBU, IBAN, Driver, new_id, payment
from tests.support.probe import Probe
from worker.wiring import worker
from workflows.payment import PaymentSaga

SPACED = "es91 2100 0418 4502 0005 1332"


class ToArgentina(MockBank):
    """A bank that knows no IBAN."""

    pays_to = frozenset[AccountKind]({"cbu"})


async def test_a_payment_to_an_iban_is_stored_in_its_normal_form_and_repeated_in_any(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    # The policy names it in a form of its own.
    agent = await new_agent(allowed_destinations=[SPACED.upper()])
    request = payment(agent, 45_000, destination={"iban": SPACED})
    assert (await driver.run(request))["state"] == "captured"
    saga, booked = await probe.saga(request), await probe.until_booked(request)
    assert saga["input"]["destination"] == {"iban": IBAN}
    assert (booked["destination"], (await probe.authorization(request))["destination"]) == (
        IBAN,
        IBAN,
    )
    event = await probe.event(request, "AuthorizationRequested")
    # Whoever reads it later knows how many minor units the amount had.
    assert event["payload"]["inputs"]["iso4217"] == published()
    again = await driver.submit(request | {"destination": {"iban": IBAN}})
    assert (again["repeated"], again["state"]) == (True, "completed")


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (frozenset({"cbu"}), "denied"),
        # The adapter of today is another one than that of the decision.
        (ACCOUNT_KINDS, "compensated"),
    ],
)
async def test_no_money_goes_to_an_account_that_the_adapter_does_not_pay_to(
    client: Client,
    place: Place,
    ledger: Database,
    probe: Probe,
    agent: str,
    known: Collection[AccountKind],
    state: str,
) -> None:
    queue = new_id("accounts")
    async with ToArgentina(place.bank_url) as bank:
        rooms = [
            SagaActivities(ledger, client),
            StepRecords(ledger),
            AuthorizationActivities(ledger, known),
            TransferActivities(ledger, bank),
        ]
        async with worker(client, queue, [PaymentSaga], rooms):
            driver = Driver(client, queue)
            refused = payment(agent, 45_000, destination={"iban": IBAN})
            result = await driver.run(refused)
            paid = await driver.run(payment(agent, 45_000, destination={"cbu": CBU}))
    assert (result["state"], result["reason"]) == (state, "destination_not_allowed")
    assert await probe.booked(refused) is None
    assert paid["state"] == "captured"
    assert await probe.spent(agent) == (45_000, 1)
