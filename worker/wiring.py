"""Wires the parts of a worker, in one place that can be read from top to bottom."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import RPCError, TLSConfig
from temporalio.worker import Worker, WorkflowRunner

from activities.adapters.mock import MockBank
from activities.agents import AgentActivities
from activities.authorizations import AuthorizationActivities
from activities.cases import CaseActivities
from activities.classification import ClassifyErrors
from activities.keys import KeyActivities
from activities.mandates import MandateActivities
from activities.namespace import KnowNamespace
from activities.orphans import OrphanedSagas
from activities.providers.kinds import created
from activities.providers.provider import Closing, Provider
from activities.reconciliation import ReconciliationActivities
from activities.refunds import RefundActivities
from activities.resources import ResourceActivities
from activities.saga_records import SagaActivities
from activities.step_records import StepRecords
from activities.transfers import TransferActivities
from ledger.database import Database, open_database
from worker.sandbox import runner
from worker.settings import Settings, SettingsError, needed
from workflows.contract.admission import DATA_CONVERTER
from workflows.contract.kinds import INFRASTRUCTURE, KINDS, PAYMENTS, SWEEPS
from workflows.engine.inbound import Inbound
from workflows.engine.misdirected import Misdirected
from workflows.kinds import sagas_of
from workflows.recovery import RecoverySaga
from workflows.sweep import SweepWorkflow

if TYPE_CHECKING:
    from activities.adapters.bind.adapter import BindBank

# What runs is finished before the worker leaves: an outside call may take this long.
GRACE = timedelta(seconds=30)
# A cancel reaches a running call with its next heartbeat, which the SDK holds back by default for
# most of the heartbeat timeout.
HEARD_WITHIN = timedelta(seconds=1)
# A workflow whose worker was killed waits this long before another worker may have it.
STICKY = timedelta(seconds=5)
QUEUES = ("payments", "infrastructure")
SWEEPERS = (SweepWorkflow, RecoverySaga)


@dataclass(frozen=True)
class Running:
    """The database, the client and the workers of a running worker; health asks the first two."""

    database: Database
    client: Client
    workers: Sequence[Worker]


async def connect(settings: Settings) -> Client:
    """Connect to Temporal, as the SDK's environment configuration names it.

    Raises SettingsError in production for a Temporal that does not ask us who we are, or does not
    need the answer: whoever reaches it starts and approves sagas under any name.
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    allowed = settings.environment == "development" or settings.temporal_unauthenticated == "allow"
    if not allowed:
        _check_credentials(config)
    client = await Client.connect(**config, data_converter=DATA_CONVERTER)
    if not allowed and await _answers_strangers(config):
        raise SettingsError(
            "settings: the Temporal of TEMPORAL_ADDRESS answers without the API key or the client "
            "certificate, so whoever reaches it can start and approve sagas: let it refuse, or set "
            f"{_ALLOWED}"
        )
    return client


_ALLOWED = "AMENDS_TEMPORAL_UNAUTHENTICATED=allow where nobody else reaches it"
_ANSWERS_WITHIN = timedelta(seconds=5)


def _check_credentials(config: ClientConnectConfig) -> None:
    """Raises SettingsError without credentials, and for a key that would go out in the clear."""
    tls = config.get("tls")
    if config.get("api_key") and tls is False:
        raise SettingsError(
            "settings: with TEMPORAL_TLS=false the key of TEMPORAL_API_KEY goes out unencrypted: "
            f"leave out TEMPORAL_TLS, or set {_ALLOWED}"
        )
    if not config.get("api_key") and not (isinstance(tls, TLSConfig) and tls.client_cert):
        raise SettingsError(
            "settings: Temporal is used without an API key (TEMPORAL_API_KEY) and without a client "
            "certificate (TEMPORAL_TLS_CLIENT_CERT_PATH), so whoever reaches it can start and "
            f"approve sagas: set one of them, or {_ALLOWED}"
        )


async def _answers_strangers(config: ClientConnectConfig) -> bool:
    """Whether this Temporal tells of its namespace to whoever has no credentials."""
    tls = config.get("tls")
    if isinstance(tls, TLSConfig):
        tls = replace(tls, client_cert=None, client_private_key=None)
    bare: ClientConnectConfig = {**config, "rpc_metadata": {}, "tls": tls or True}
    bare.pop("api_key", None)
    try:
        stranger = await Client.connect(**bare, lazy=True)
        # Not what the connection itself asks: every Temporal answers that.
        await stranger.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=stranger.namespace),
            retry=False,
            timeout=_ANSWERS_WITHIN,
        )
    except (RuntimeError, RPCError):
        return False
    return True


@asynccontextmanager
async def wire(
    settings: Settings, client: Client, queues: Sequence[str] = QUEUES
) -> AsyncIterator[Running]:
    """Open everything that a worker needs; the workers are made and not yet started."""
    served = addresses(settings)
    async with AsyncExitStack() as stack:
        url = needed(settings.database_url, "AMENDS_DATABASE_URL")
        database = await stack.enter_async_context(
            open_database(
                url, size=20, pooling=settings.pooling, writes=True, signing=settings.signing
            )
        )
        sagas, steps = SagaActivities(database, client), StepRecords(database)
        runs = runner(settings.workflow_sandbox)
        workers = []
        if "payments" in queues:
            bank = payment_adapter(settings)
            await stack.enter_async_context(bank)
            authorizations = AuthorizationActivities(database, bank.pays_to)
            transfers, refunds = (
                TransferActivities(database, bank),
                RefundActivities(database, bank),
            )
            agents, keys = AgentActivities(database), KeyActivities(database)
            mandates = MandateActivities(database)
            folder, accounts = settings.statements_folder, settings.accounts_of_statements
            compared = ReconciliationActivities(database, bank, folder, accounts)
            cases = CaseActivities(database)
            workers.append(
                worker(
                    client,
                    settings.payments_queue,
                    sagas_of(PAYMENTS),
                    [
                        *(sagas, steps, authorizations, transfers, refunds),
                        *(agents, keys, mandates, compared, cases),
                    ],
                    runs,
                    served,
                    signed=settings.signing.required,
                )
            )
        if "infrastructure" in queues:
            used = providers(settings)
            for provider in used:
                if iscoroutinefunction(getattr(provider, "close", None)):
                    stack.push_async_callback(cast(Closing, provider).close)
            resources = ResourceActivities(database, used)
            workers.append(
                worker(
                    client,
                    settings.infrastructure_queue,
                    sagas_of(INFRASTRUCTURE),
                    [sagas, steps, resources],
                    runs,
                    served,
                    signed=settings.signing.required,
                )
            )
        # Every process sweeps, whichever sagas it carries.
        lost = OrphanedSagas(database, client, settings.care, undos())
        workers.append(worker(client, settings.sweep_queue, SWEEPERS, [lost], runs, served))
        yield Running(database, client, workers)


def payment_adapter(settings: Settings) -> "MockBank | BindBank":
    """The adapter that pays, not yet open. Raises SettingsError."""
    if settings.payment_adapter == "mock":
        return MockBank(needed(settings.mock_bank_url, "AMENDS_MOCK_BANK_URL"))
    # Its HTTP client is loaded where it is used.
    from activities.adapters.bind.adapter import BindBank
    from activities.adapters.bind.connection import BindSettings

    files = (settings.bind_certificate, settings.bind_certificate_key, settings.bind_ca)
    certificate, key, ca = (Path(file) if file else None for file in files)
    account = BindSettings(
        url=needed(settings.bind_url, "AMENDS_BIND_URL"),
        username=needed(settings.bind_username, "AMENDS_BIND_USERNAME"),
        password=needed(settings.bind_password, "AMENDS_BIND_PASSWORD"),
        account_id=needed(settings.bind_account_id, "AMENDS_BIND_ACCOUNT_ID"),
        origin_cvu=settings.bind_origin_cvu,
        concept=settings.bind_concept,
        certificate=certificate,
        certificate_key=key,
        ca=ca,
        look_again_s=settings.look_again_s,
    )
    try:
        return BindBank(account)
    except OSError as error:
        raise SettingsError(
            "settings: AMENDS_BIND_CERTIFICATE, AMENDS_BIND_CERTIFICATE_KEY or AMENDS_BIND_CA "
            f"can't be used ({type(error).__name__})"
        ) from None


def addresses(settings: Settings) -> dict[str, str]:
    """The task queue of each workflow type."""
    queues = {
        PAYMENTS: settings.payments_queue,
        INFRASTRUCTURE: settings.infrastructure_queue,
        SWEEPS: settings.sweep_queue,
    }
    sagas = {kind.workflow: queues[kind.queue] for kind in KINDS}
    return sagas | {each.__name__: settings.sweep_queue for each in SWEEPERS}


def providers(settings: Settings) -> list[Provider]:
    """The providers of infrastructure; those of packages have settings of their own.

    Raises ProviderNotLoaded.
    """
    return created({**os.environ, "AMENDS_POSTGRES_TARGET_URL": settings.target_url or ""})


def undos() -> set[str]:
    """The names of all activities that a step may name as its undo."""
    rooms = (
        *(AuthorizationActivities, TransferActivities, RefundActivities),
        *(AgentActivities, KeyActivities, ResourceActivities),
    )
    return {name for room in rooms for name in vars(room) if is_activity(getattr(room, name))}


def is_activity(method: object) -> bool:
    """Whether a method is an activity."""
    return hasattr(method, "__temporal_activity_definition")


def worker(
    client: Client,
    queue: str,
    workflows: Sequence[type],
    rooms: list[object],
    runs: WorkflowRunner | None = None,
    served: Mapping[str, str] | None = None,
    *,
    signed: bool = False,
) -> Worker:
    """A worker on one task queue; its activities are the methods of `rooms` that say so, and its
    workflows run in the sandbox unless `runs` says otherwise. A start that belongs elsewhere is
    failed with the queue of its type, as `served` names them. `signed`: updates must be signed."""
    types = {**(served or {}), **{each.__name__: queue for each in workflows}}
    return Worker(
        client,
        task_queue=queue,
        workflows=[*workflows, Misdirected],
        activities=[
            method
            for room in rooms
            for name in dir(room)
            if is_activity(method := getattr(room, name))
        ],
        workflow_runner=runs or runner("on"),
        interceptors=[ClassifyErrors(), KnowNamespace(client), Inbound(types, signed=signed)],
        graceful_shutdown_timeout=GRACE,
        max_heartbeat_throttle_interval=HEARD_WITHIN,
        sticky_queue_schedule_to_start_timeout=STICKY,
    )
