"""Settings: read once, complete or one sentence, and never shown."""

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.orphans import Care
from tests.support.tls_front import self_signed, tls_front
from worker.embedded.servers import EmbeddedServers
from worker.sandbox import runner
from worker.settings import MIGRATE_NEEDS, Settings, SettingsError, needed
from worker.wiring import connect, payment_adapter
from workflows.contract.kinds import INFRASTRUCTURE, PAYMENTS, SWEEPS

WORKER = {
    "AMENDS_DATABASE_URL": "postgresql://amends_worker:hidden@db/amends",
    "AMENDS_MOCK_BANK_URL": "postgresql://mock_bank:hidden@db/mock_bank",
}


def test_the_document_lists_every_setting_and_clients_know_the_queues_by_the_same() -> None:
    names = {item.metadata["name"]: item.default for item in fields(Settings)}
    document = (Path(__file__).parent.parent / "docs/operating.md").read_text()
    assert [name for name in names if f"`{name}`" not in document] == []
    for queue in (PAYMENTS, INFRASTRUCTURE, SWEEPS):
        assert names[queue.setting] == queue.default


def test_defaults_are_those_of_production() -> None:
    settings = Settings.from_environment(WORKER)
    assert settings.environment == "production"
    assert (settings.health_host, settings.health_port) == ("127.0.0.1", 8080)
    assert settings.payments_queue == "amends-payments"
    assert settings.infrastructure_queue == "amends-infrastructure"
    assert settings.target_url is None
    assert (settings.sweep_queue, settings.sweep_every) == ("amends-sweep", timedelta(minutes=5))
    assert settings.care == Care(grace=timedelta(minutes=5), brake_percent=20)


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ({}, SandboxedWorkflowRunner),
        ({"AMENDS_WORKFLOW_SANDBOX": "isolated"}, SandboxedWorkflowRunner),
        ({"AMENDS_WORKFLOW_SANDBOX": "off"}, UnsandboxedWorkflowRunner),
    ],
)
def test_workflows_run_in_the_sandbox_unless_it_is_off(
    asked: dict[str, str], runs: type[WorkflowRunner]
) -> None:
    settings = Settings.from_environment(WORKER | asked)
    assert isinstance(runner(settings.workflow_sandbox), runs)


def test_one_sentence_names_all_that_is_missing_or_wrong() -> None:
    wrong = {"ENV": "staging", "HEALTH_ADDRESS": "8080", "WORKFLOW_SANDBOX": "no"}
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({f"AMENDS_{name}": value for name, value in wrong.items()})
    message = str(refused.value)
    for name in ("DATABASE_URL", "MOCK_BANK_URL", "ENV", "HEALTH_ADDRESS", "WORKFLOW_SANDBOX"):
        assert f"AMENDS_{name} is" in message
    assert "\n" not in message
    assert "staging" not in message


def test_a_migration_needs_the_owners_url_alone() -> None:
    url = "postgresql://amends_owner:hidden@db/amends"
    settings = Settings.from_environment({"AMENDS_MIGRATION_URL": url}, needs=MIGRATE_NEEDS)
    assert needed(settings.migration_url, "AMENDS_MIGRATION_URL") == url
    with pytest.raises(SettingsError, match="AMENDS_DATABASE_URL is not set"):
        needed(settings.database_url, "AMENDS_DATABASE_URL")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SWEEP_INTERVAL", "5 minutes"),
        ("SWEEP_INTERVAL", "PT0S"),
        ("SWEEP_INTERVAL", "60"),
        ("SWEEP_GRACE", "-PT1M"),
        ("SWEEP_GRACE", "P1Y"),
        ("SWEEP_BRAKE_PERCENT", "101"),
        ("SWEEP_BRAKE_PERCENT", "a fifth"),
        ("HEALTH_ADDRESS is not host:port", "8080"),
        ("HEALTH_ADDRESS is not host:port", "host:"),
        ("HEALTH_ADDRESS is not host:port", ":8080"),
        ("HEALTH_ADDRESS is not host:port", "host:99999"),
        ("HEALTH_ADDRESS is not host:port", "a b:1"),
        ("AUDIT_URL_FILE can't be read", "/nowhere/url"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"AMENDS_{name}"):
        Settings.from_environment(WORKER | {f"AMENDS_{name.partition(' ')[0]}": value})


BIND = {
    "AMENDS_DATABASE_URL": WORKER["AMENDS_DATABASE_URL"],
    "AMENDS_PAYMENT_ADAPTER": "bind",
    "AMENDS_BIND_URL": "https://sandbox.bind.com.ar/v1",
    "AMENDS_BIND_USERNAME": "hidden-user",
    "AMENDS_BIND_PASSWORD": "hidden",
    "AMENDS_BIND_ACCOUNT_ID": "hidden-account",
}


async def test_the_adapter_of_the_settings_is_the_one_that_pays() -> None:
    assert payment_adapter(Settings.from_environment(WORKER)).name == "mock"
    settings = Settings.from_environment(BIND)
    assert "hidden" not in repr(settings)
    async with payment_adapter(settings) as adapter:
        assert adapter.name == "bind"
        assert "hidden" not in repr(adapter)


def test_an_adapter_names_what_it_misses() -> None:
    asked = {name: BIND[name] for name in ("AMENDS_DATABASE_URL", "AMENDS_PAYMENT_ADAPTER")}
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(asked)
    for name in ("URL", "USERNAME", "PASSWORD", "ACCOUNT_ID"):
        assert f"AMENDS_BIND_{name} is not set" in str(refused.value)
    assert "MOCK_BANK" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BIND_URL", "sandbox.bind.com.ar"),
        ("BIND_URL", "https://user:hidden@sandbox.bind.com.ar/v1"),
        ("BIND_URL", "http://127.0.0.1:8080/v1"),
        ("BIND_CONCEPT", "groceries"),
        ("BIND_CERTIFICATE_KEY", "/nowhere/key.pem"),
        ("BIND_LOOK_AGAIN", "PT0S"),
        ("BIND_LOOK_AGAIN", "P1D"),
        ("PAYMENT_ADAPTER", "paypal"),
    ],
)
def test_a_wrong_setting_of_bind_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"AMENDS_{name}") as refused:
        Settings.from_environment(BIND | {f"AMENDS_{name}": value})
    assert "hidden" not in str(refused.value)


def test_development_may_pay_at_a_simulator_without_tls() -> None:
    simulated = BIND | {"AMENDS_BIND_URL": "http://127.0.0.1:8080/v1", "AMENDS_ENV": "development"}
    assert Settings.from_environment(simulated).look_again_s == 300


def test_a_certificate_that_can_not_be_used_is_a_sentence_about_settings() -> None:
    settings = Settings.from_environment(BIND | {"AMENDS_BIND_CERTIFICATE": "/nowhere/c.pem"})
    with pytest.raises(SettingsError, match="AMENDS_BIND_CERTIFICATE"):
        payment_adapter(settings)


def test_no_secret_is_shown() -> None:
    assert "hidden" not in repr(Settings.from_environment(WORKER))
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(WORKER | {"AMENDS_DATABASE_URL": "mysql://u:hidden@db/amends"})
    assert "hidden" not in str(refused.value)


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(WORKER["AMENDS_DATABASE_URL"] + "\n")
    environment = WORKER | {"AMENDS_DATABASE_URL": "", "AMENDS_DATABASE_URL_FILE": str(file)}
    settings = Settings.from_environment(environment)
    assert settings.database_url == WORKER["AMENDS_DATABASE_URL"]


@pytest.mark.parametrize(
    ("settings", "temporal", "refused"),
    [
        ({}, {}, True),
        ({}, {"TEMPORAL_TLS": "true"}, True),
        ({}, {"TEMPORAL_API_KEY": "a-key"}, False),
        ({}, {"TEMPORAL_API_KEY": "a-key", "TEMPORAL_TLS": "false"}, True),
        ({}, {"TEMPORAL_TLS_CLIENT_CERT_DATA": "x", "TEMPORAL_TLS_CLIENT_KEY_DATA": "y"}, False),
        ({"AMENDS_TEMPORAL_UNAUTHENTICATED": "allow"}, {}, False),
        ({"AMENDS_ENV": "development"}, {}, False),
    ],
)
async def test_production_refuses_a_temporal_that_asks_nobody_who_they_are(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    temporal: dict[str, str],
    refused: bool,
) -> None:
    for name, text in ({"TEMPORAL_ADDRESS": "127.0.0.1:9"} | temporal).items():
        monkeypatch.setenv(name, text)
    # Nobody listens there: who is not refused gets as far as that.
    with pytest.raises(SettingsError if refused else RuntimeError) as failed:
        await connect(Settings.from_environment(WORKER | settings))
    assert ("AMENDS_TEMPORAL_UNAUTHENTICATED" in str(failed.value)) == refused


@pytest.mark.parametrize("asks", [False, True], ids=["answers everybody", "asks"])
async def test_production_refuses_a_temporal_that_answers_without_credentials_too(
    servers: EmbeddedServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: bool
) -> None:
    certificate, key = await self_signed(tmp_path)
    async with tls_front(servers.temporal.address, certificate, key, asks=asks) as address:
        for name, text in {
            "TEMPORAL_ADDRESS": address,
            "TEMPORAL_API_KEY": "a-key",
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(certificate),
            "TEMPORAL_TLS_CLIENT_CERT_PATH": str(certificate),
            "TEMPORAL_TLS_CLIENT_KEY_PATH": str(key),
        }.items():
            monkeypatch.setenv(name, text)
        if asks:
            assert (await connect(Settings.from_environment(WORKER))).namespace == "default"
            return
        with pytest.raises(SettingsError, match="answers without the API key"):
            await connect(Settings.from_environment(WORKER))
        await connect(Settings.from_environment(WORKER | {"AMENDS_ENV": "development"}))
