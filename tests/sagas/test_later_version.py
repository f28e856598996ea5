"""What was admitted once is data: a later version, whose every rule is tighter, carries it on.

The sagas are begun by this version and met by a copy of it (tests/support/later_version.py) in
which the currency is retired, patterns are narrower, limits lower, defaults others, and a field is
gone. The worker is killed in between: some sagas have ended, some wait or run, some are lost.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.adapters.mock import Fault, MockBank
from tests.infrastructure.driver import Target, after, role
from tests.sagas.conftest import Place
from tests.sagas.sweeping import Sweeper, end
from tests.support.driver import (
    CBU,
    Driver,
    Handle,
    Json,
    new_id,
    payment,
    policy,
    registration,
    saga_of,
)
from tests.support.later_version import later_version, run
from tests.support.probe import Probe
from tests.support.until import until
from tests.support.worker_process import free_address, worker_process
from worker.embedded.servers import EmbeddedServers
from worker.settings import needed

QUEUE = "sagas-later"
ENVIRONMENT = "AMENDS_PAYMENTS_QUEUE", "AMENDS_INFRASTRUCTURE_QUEUE", "AMENDS_SWEEP_QUEUE"
QUEUES = dict(zip(ENVIRONMENT, (QUEUE, f"{QUEUE}-changes", f"{QUEUE}-sweep"), strict=True))


@dataclass
class Before:
    """What this version has left behind; the requests by how their sagas stood."""

    agent: str
    requests: dict[str, Json] = field(default_factory=dict)
    answers: dict[str, Json] = field(default_factory=dict)
    handles: dict[str, Handle] = field(default_factory=dict)


@pytest.fixture(scope="module")
def environment(servers: EmbeddedServers, place: Place) -> dict[str, str]:
    """The settings of both versions: of the worker and of the command line."""
    return servers.environment() | {
        "AMENDS_DATABASE_URL": needed(place.settings.database_url, "AMENDS_DATABASE_URL"),
        "AMENDS_AUDIT_URL": place.audit_url,
        "AMENDS_MOCK_BANK_URL": place.bank_url,
        "AMENDS_HEALTH_ADDRESS": free_address(),
        "AMENDS_SWEEP_GRACE": "PT0S",
        **QUEUES,
    }


@pytest.fixture(scope="module")
def old_driver(client: Client) -> Driver:
    return Driver(client, QUEUE)


@pytest.fixture(scope="module")
async def before(
    environment: dict[str, str], old_driver: Driver, probe: Probe, bank: MockBank, target: Target
) -> AsyncIterator[Before]:
    """This version works, and its worker is killed. What it could not end, the bank and the target
    server hold up until the tests have begun."""
    left = Before(new_id("bot"))
    both = ("payments", "infrastructure")
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(worker_process(environment, queues=both))
        await worker.start()
        await _finish(left, old_driver)
        await _leave_waiting(left, old_driver, probe, bank)
        await _leave_lost(left, old_driver)
        paid = left.requests["lost past its pivot"] = payment(left.agent, 45_000)
        async with (
            target.hold("postgres.role", f"{left.agent}-b"),
            probe.refusing(paid, "AuthorizationCaptured") as has_refused,
        ):
            await _leave_a_change(left, old_driver, target)
            handle = await old_driver.start(paid)
            await until(has_refused)
            await worker.kill()
            await end(handle)
        yield left


async def _finish(left: Before, driver: Driver) -> None:
    agent, names = left.agent, {"metadata": {"ip": "203.0.113.7"}}
    for name, request in {
        "agent": registration(agent),
        "policy": policy(agent, daily_limit_minor=100_000_000),
        "captured": payment(agent, 45_000, **names),
        "denied": payment(agent, 70_000),
    }.items():
        left.requests[name], left.answers[name] = request, await driver.run(request)


async def _leave_waiting(left: Before, driver: Driver, probe: Probe, bank: MockBank) -> None:
    approval, capture = payment(left.agent, 55_000), payment(left.agent, 100, capture="manual")
    doubted = payment(left.agent, 45_000)
    await bank.inject(Fault(saga_of(doubted), "timeout_after"))
    await bank.inject(
        Fault(saga_of(doubted), "timeout_before", operation="find", remaining=100_000)
    )
    left.requests |= {"approval": approval, "capture": capture, "in doubt": doubted}
    for what in ("approval", "capture"):
        left.handles[what] = await driver.until_waits(left.requests[what], what)
    left.handles["in doubt"] = await driver.start(doubted)
    await until(lambda: probe.has_told(doubted, "StepLeftUnknown"))


async def _leave_lost(left: Before, driver: Driver) -> None:
    left.requests["lost"] = payment(left.agent, 55_000)
    await end(await driver.until_waits(left.requests["lost"], "approval"))


async def _leave_a_change(left: Before, driver: Driver, target: Target) -> None:
    a, b = f"{left.agent}-a", f"{left.agent}-b"
    request = {
        "operation_id": new_id("change"),
        "actor": "user:ana",
        "reason": "the shop needs them",
        "present": [role(a), after(role(b), a)],
    }
    left.requests["change"] = request
    left.handles["change"] = await driver.client.start_workflow(
        "InfrastructureSaga",
        request,
        id=f"change/{request['operation_id']}",
        task_queue=QUEUES["AMENDS_INFRASTRUCTURE_QUEUE"],
        result_type=dict,
    )
    await until(lambda: target.someone_waits("postgres.role", b))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the later version."""
    return later_version(tmp_path_factory.mktemp("later"))


@pytest.fixture(scope="module")
async def later(before: Before, environment: dict[str, str], folder: Path) -> AsyncIterator[Before]:
    """The later version works, and has what this version left behind."""
    both = ("payments", "infrastructure")
    async with worker_process(environment, queues=both, folder=folder) as worker:
        await worker.start()
        await worker.until_health(200)
        yield before


@pytest.fixture
def driver(old_driver: Driver, later: Before) -> Driver:
    """A client of the later version."""
    return old_driver


class Cli:
    """The command line of the later version."""

    def __init__(self, folder: Path, environment: dict[str, str], requests: Path) -> None:
        self._folder, self._environment, self._requests = folder, environment, requests

    async def __call__(self, *words: str | Json) -> tuple[int, str]:
        told = [word if isinstance(word, str) else self._file(word) for word in words]
        return await run(self._folder, self._environment, "starter.cli", *told)

    def _file(self, request: Json) -> str:
        file = self._requests / f"{request['operation_id']}.json"
        file.write_text(json.dumps(request))
        return str(file)


@pytest.fixture
def cli(folder: Path, environment: dict[str, str], tmp_path: Path, later: Before) -> Cli:
    return Cli(folder, environment, tmp_path)


async def test_what_is_new_is_refused_by_the_tighter_rules_and_nothing_is_written(
    driver: Driver, probe: Probe, later: Before
) -> None:
    request = payment(later.agent, 45_000)
    failure = await driver.failure(await driver.start(request))
    assert failure.type == "InvalidInput"
    assert {problem["field"] for problem in failure.details} == {"input"}
    assert CBU not in failure.message + str(failure.details)
    assert await probe.saga(request) == {}


@pytest.mark.parametrize("what", ["agent", "policy", "captured", "denied"])
async def test_a_repeat_of_what_has_ended_gets_the_first_answer(
    driver: Driver, probe: Probe, later: Before, what: str
) -> None:
    request = later.requests[what]
    assert await driver.run(request) == later.answers[what]
    again = {**request, "metadata": {"session": "s-2"}}
    assert await driver.run(again) == later.answers[what]
    described = await driver.handle(request).describe()
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    who = request.get("actor", f"agent:{later.agent}")
    assert (attributes["SagaActor"], attributes["SagaSubjects"][0]) == (who, f"agent/{later.agent}")
    assert (await probe.told(request)).count("SagaDuplicateReceived") == 2


async def test_a_repeat_that_spells_an_old_default_out_is_the_same_and_a_new_default_is_another(
    driver: Driver, later: Before
) -> None:
    request = later.requests["captured"]
    assert await driver.run({**request, "capture": "automatic"}) == later.answers["captured"]
    for other in ({"capture": "manual"}, {"approve_within": "PT1S"}, {"description": "other"}):
        failure = await driver.failure(await driver.start({**request, **other}))
        assert failure.type == "operation_id_reused"


async def test_the_command_line_of_the_later_version_repeats_too(cli: Cli, later: Before) -> None:
    status, said = await cli("pay", later.requests["captured"], "--json")
    assert (status, json.loads(said)["state"]) == (0, "captured")
    unknown = payment(later.agent, 45_000)
    status, said = await cli("pay", unknown)
    assert (status, said.startswith("amends: input: ")) == (2, True)


async def test_the_one_that_waits_is_repeated_approved_and_captured_as_it_was_asked_for(
    driver: Driver, probe: Probe, later: Before
) -> None:
    request = later.requests["approval"]
    assert (await driver.submit(request))["waits_for"] == "approval"
    await driver.tell(request, "approve")
    # Its capture is automatic: that it is manual by now is for others.
    assert (await driver.result(request))["state"] == "captured"
    booked = await probe.booked(request)
    assert booked is not None
    assert booked["amount_minor"] == 5_500_000


async def test_the_one_whose_capture_waits_is_captured_by_its_agent(
    driver: Driver, probe: Probe, later: Before
) -> None:
    request = later.requests["capture"]
    by = {"actor": f"agent:{later.agent}"}
    assert (await driver.tell(request, "capture", by))["result"]["state"] == "captured"
    assert await probe.told_by(request, "TransferExecuted") == by["actor"]


async def test_the_one_in_doubt_is_looked_up_and_captured(
    driver: Driver, probe: Probe, later: Before
) -> None:
    request = later.requests["in doubt"]
    await probe.heal(request)
    assert (await driver.result(request))["state"] == "captured"
    assert await probe.deliveries(request) == 1


async def test_the_change_that_runs_is_applied_with_the_defaults_it_was_admitted_with(
    later: Before, target: Target
) -> None:
    result = await later.handles["change"].result()
    assert result["state"] == "applied"
    for letter in "ab":
        assert (await target.role(f"{later.agent}-{letter}"))["login"] is True


async def test_the_lost_ones_are_recovered(driver: Driver, probe: Probe, later: Before) -> None:
    sweeper = Sweeper(driver.client, QUEUES["AMENDS_SWEEP_QUEUE"], probe)
    handle = await sweeper.start()
    assert (await handle.result())["alerts"] == []
    undone = await sweeper.recovered(later.requests["lost"])
    assert (undone["state"], undone["reason"]) == ("compensated", "lost_run")
    paid = await sweeper.recovered(later.requests["lost past its pivot"])
    assert paid["state"] == "captured"


DISPLAYS: dict[str, tuple[str, ...]] = {
    "policy": ("policy", "show", "{agent}"),
    "agents": ("agent", "list"),
    "payments": ("payments", "--agent", "{agent}"),
    "payments as JSON": ("payments", "--json"),
    "show": ("show", "policy/{agent}"),
    "sagas": ("sagas",),
    "saga": ("saga", "{captured}"),
    "log": ("log", "{captured}"),
    "resources": ("resources", "--environment", "dev"),
    "verify": ("verify",),
}


@pytest.mark.parametrize("display", DISPLAYS)
async def test_all_displays_work(cli: Cli, later: Before, display: str) -> None:
    names = {"agent": later.agent, "captured": saga_of(later.requests["captured"])}
    status, said = await cli(*(word.format(**names) for word in DISPLAYS[display]))
    assert (status, "Traceback" in said) == (0, False), said
    if display == "policy":
        assert "60,000.00 ARS" in said


async def test_saved_histories_replay_under_the_tighter_rules(tmp_path: Path) -> None:
    # They tell less than those of today: which defaults the kinds of resources had is not in them.
    folder = later_version(tmp_path, but="activities/providers/postgres/spec.py")
    words = ("pytest", "-q", "-p", "no:cacheprovider", "tests/sagas/test_replay.py")
    status, said = await run(folder, {}, *words, "-k", "recorded_before")
    assert status == 0, said


async def test_afterwards_the_ledger_holds_together_and_the_bank_agrees(
    probe: Probe, later: Before
) -> None:
    await probe.check()
