"""The settings of a worker: read once at the start, from the environment, into one frozen object.

Temporal's own settings (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, TLS, ...) are
not here: the SDK reads them itself (`temporalio.envconfig`).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, cast

from activities.orphans import Care
from activities.statements.entry import account_name
from ledger.database import POOLINGS, Pooling
from ledger.signing import Signing
from ledger.times import parse_duration

RUN_NEEDS = ("AMENDS_DATABASE_URL",)
MIGRATE_NEEDS = ("AMENDS_MIGRATION_URL",)
TARGET_NEEDS = ("AMENDS_POSTGRES_TARGET_URL",)
# By the adapter that pays.
ADAPTER_NEEDS: Mapping[str, Collection[str]] = {
    "mock": ("AMENDS_MOCK_BANK_URL",),
    "bind": (
        "AMENDS_BIND_URL",
        "AMENDS_BIND_USERNAME",
        "AMENDS_BIND_PASSWORD",
        "AMENDS_BIND_ACCOUNT_ID",
    ),
}

_POSTGRES_URL = re.compile(r"postgres(ql)?://.+")
_LEDGER_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY_ID = re.compile(r"[0-9a-f]{32}")
_HTTP_URL = re.compile(r"https?://[^\s/@]+(/\S*)?")
_CONCEPT = re.compile(r"[A-Z]{3}")
_PERCENT = re.compile(r"\d{1,2}|100")
_ADDRESS = re.compile(r"(?P<host>[^:\s]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


class SettingsError(Exception):
    """Settings are missing or wrong: set or correct those that the message names. Values are never
    shown."""


def _setting(name: str, default: str | None = None) -> Any:
    return field(default=default, metadata={"name": name})


def _secret(name: str) -> Any:
    return field(default=None, repr=False, metadata={"name": name, "secret": True})


def _database(name: str) -> Any:
    secret = {"name": name, "secret": True, "database": True}
    return field(default=None, repr=False, metadata=secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a worker. Their repr shows no secret."""

    database_url: str | None = _database("AMENDS_DATABASE_URL")  # role amends_worker
    migration_url: str | None = _database("AMENDS_MIGRATION_URL")  # role amends_owner
    audit_url: str | None = _database("AMENDS_AUDIT_URL")  # role amends_auditor
    target_url: str | None = _database("AMENDS_POSTGRES_TARGET_URL")  # role amends_provisioner
    mock_bank_url: str | None = _database("AMENDS_MOCK_BANK_URL")
    database_pooling: str = _setting("AMENDS_DATABASE_POOLING", "session")
    environment: str = _setting("AMENDS_ENV", "production")
    ledger_name: str | None = _setting("AMENDS_LEDGER_NAME", None)
    key_officers: str = _setting("AMENDS_KEY_OFFICERS", "")
    temporal_unauthenticated: str = _setting("AMENDS_TEMPORAL_UNAUTHENTICATED", "refuse")
    health_address: str = _setting("AMENDS_HEALTH_ADDRESS", "127.0.0.1:8080")
    log_format: str = _setting("AMENDS_LOG_FORMAT", "console")
    payment_adapter: str = _setting("AMENDS_PAYMENT_ADAPTER", "mock")
    bind_url: str | None = _setting("AMENDS_BIND_URL")
    bind_username: str | None = _secret("AMENDS_BIND_USERNAME")
    bind_password: str | None = _secret("AMENDS_BIND_PASSWORD")
    bind_account_id: str | None = _secret("AMENDS_BIND_ACCOUNT_ID")
    bind_origin_cvu: str | None = _secret("AMENDS_BIND_ORIGIN_CVU")
    bind_concept: str = _setting("AMENDS_BIND_CONCEPT", "VAR")
    bind_certificate: str | None = _setting("AMENDS_BIND_CERTIFICATE")
    bind_certificate_key: str | None = _setting("AMENDS_BIND_CERTIFICATE_KEY")
    bind_ca: str | None = _setting("AMENDS_BIND_CA")
    bind_look_again: str = _setting("AMENDS_BIND_LOOK_AGAIN", "PT5M")
    statements: str | None = _setting("AMENDS_STATEMENTS", None)
    statement_accounts: str | None = _secret("AMENDS_STATEMENT_ACCOUNTS")
    payments_queue: str = _setting("AMENDS_PAYMENTS_QUEUE", "amends-payments")
    infrastructure_queue: str = _setting("AMENDS_INFRASTRUCTURE_QUEUE", "amends-infrastructure")
    workflow_sandbox: str = _setting("AMENDS_WORKFLOW_SANDBOX", "on")
    sweep_queue: str = _setting("AMENDS_SWEEP_QUEUE", "amends-sweep")
    sweep_interval: str = _setting("AMENDS_SWEEP_INTERVAL", "PT5M")
    sweep_grace: str = _setting("AMENDS_SWEEP_GRACE", "PT5M")
    sweep_brake_percent: str = _setting("AMENDS_SWEEP_BRAKE_PERCENT", "20")

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], needs: Collection[str] = RUN_NEEDS
    ) -> Self:
        """Read the settings from `environment`; a secret may also be in the file that NAME_FILE
        names.

        Raises SettingsError with one sentence that names all that is missing or wrong.
        """
        found = {item.name: _read(item, environment) for item in fields(cls)}
        settings = cls(**{name: value for name, value in found.items() if value is not None})
        problems = [*settings._missing(needs), *settings._wrong()]
        if problems:
            raise SettingsError("settings: " + "; ".join(problems))
        return settings

    def _missing(self, needs: Collection[str]) -> list[str]:
        needed = set(needs)
        if "AMENDS_DATABASE_URL" in needed:
            needed |= set(ADAPTER_NEEDS.get(self.payment_adapter, ()))
        return [
            f"{_name(item)} is not set"
            for item in fields(self)
            if _name(item) in needed and getattr(self, item.name) is None
        ]

    def _wrong(self) -> list[str]:
        wrong = [
            f"{_name(item)} is not a postgresql:// URL"
            for item in fields(self)
            if item.metadata.get("database")
            and (url := getattr(self, item.name)) is not None
            and not _POSTGRES_URL.fullmatch(url)
        ]
        for name, value, allowed in (
            ("AMENDS_DATABASE_POOLING", self.database_pooling, POOLINGS),
            ("AMENDS_ENV", self.environment, ("development", "production")),
            ("AMENDS_LOG_FORMAT", self.log_format, ("console", "json")),
            ("AMENDS_PAYMENT_ADAPTER", self.payment_adapter, tuple(ADAPTER_NEEDS)),
            ("AMENDS_WORKFLOW_SANDBOX", self.workflow_sandbox, ("on", "isolated", "off")),
            (
                "AMENDS_TEMPORAL_UNAUTHENTICATED",
                self.temporal_unauthenticated,
                ("refuse", "allow"),
            ),
        ):
            if value not in allowed:
                wrong.append(f"{name} is not one of {', '.join(allowed)}")
        if not _ADDRESS.fullmatch(self.health_address) or self.health_port > 65_535:
            wrong.append("AMENDS_HEALTH_ADDRESS is not host:port")
        if self.ledger_name and not _LEDGER_NAME.fullmatch(self.ledger_name):
            wrong.append("AMENDS_LEDGER_NAME is not 1 to 64 of A-Z a-z 0-9 . _ -")
        if not all(map(_KEY_ID.fullmatch, self.signing.officers)):
            wrong.append("AMENDS_KEY_OFFICERS is not a list of key ids, of 32 hexadecimal digits")
        return [*wrong, *self._wrong_bind(), *self._wrong_sweep()]

    def _wrong_bind(self) -> list[str]:
        wrong = []
        if self.bind_url is not None:
            if not _HTTP_URL.fullmatch(self.bind_url):
                wrong.append("AMENDS_BIND_URL is not an https:// URL without a user")
            elif self.bind_url.startswith("http:") and self.environment != "development":
                # The password would go out in the clear.
                wrong.append("AMENDS_BIND_URL is http:// and AMENDS_ENV is not development")
        if not _CONCEPT.fullmatch(self.bind_concept):
            wrong.append("AMENDS_BIND_CONCEPT is not a concept of three capitals, such as VAR")
        if self.bind_certificate_key and not self.bind_certificate:
            wrong.append("AMENDS_BIND_CERTIFICATE_KEY is set without AMENDS_BIND_CERTIFICATE")
        if not timedelta() < _duration(self.bind_look_again) <= timedelta(hours=1):
            wrong.append("AMENDS_BIND_LOOK_AGAIN is not an ISO 8601 duration up to PT1H")
        return wrong

    def _wrong_sweep(self) -> list[str]:
        wrong = []
        if not timedelta(seconds=1) <= _duration(self.sweep_interval) <= timedelta(days=1):
            wrong.append("AMENDS_SWEEP_INTERVAL is not an ISO 8601 duration from PT1S to P1D")
        if not timedelta() <= _duration(self.sweep_grace) <= timedelta(days=30):
            wrong.append("AMENDS_SWEEP_GRACE is not an ISO 8601 duration from PT0S to P30D")
        if not _PERCENT.fullmatch(self.sweep_brake_percent):
            wrong.append("AMENDS_SWEEP_BRAKE_PERCENT is not a whole number from 0 to 100")
        return wrong

    @property
    def pooling(self) -> Pooling:
        """How the sessions of AMENDS_DATABASE_URL are pooled."""
        return cast(Pooling, self.database_pooling)

    @property
    def signing(self) -> Signing:
        """Whether requests and decisions must be signed: in production they must."""
        officers = frozenset(self.key_officers.replace(",", " ").split())
        required = self.environment == "production"
        return Signing(required=required, officers=officers, ledger=self.ledger_name or None)

    @property
    def look_again_s(self) -> float:
        """The seconds until BIND has news of a transfer without outcome."""
        return _duration(self.bind_look_again).total_seconds()

    @property
    def statements_folder(self) -> Path | None:
        """The folder in which the files of banks are found; None without one."""
        return Path(self.statements) if self.statements else None

    @property
    def accounts_of_statements(self) -> frozenset[str]:
        """The accounts whose statements are compared; empty where no setting names them."""
        named = (self.statement_accounts or "").split(",")
        return frozenset(filter(None, map(account_name, named)))

    @property
    def sweep_every(self) -> timedelta:
        """The interval at which the schedule starts a sweep."""
        return _duration(self.sweep_interval)

    @property
    def care(self) -> Care:
        """The care with which a sweep looks for orphaned sagas."""
        return Care(_duration(self.sweep_grace), int(self.sweep_brake_percent))

    @property
    def health_host(self) -> str:
        """The host on which `GET /health` listens."""
        return self.health_address.rpartition(":")[0].strip("[]")

    @property
    def health_port(self) -> int:
        """The port on which `GET /health` listens."""
        return int(self.health_address.rpartition(":")[2])

    @classmethod
    def names(cls) -> set[str]:
        """The names of all environment variables that are read."""
        names = {_name(item) for item in fields(cls)}
        return names | {f"{_name(i)}_FILE" for i in fields(cls) if i.metadata.get("secret")}


def _duration(text: str) -> timedelta:
    """Parse an ISO 8601 duration; a negative one, which no setting takes, for a text that is
    none."""
    try:
        return parse_duration(text)
    except ValueError:
        return -timedelta.resolution


def needed(value: str | None, name: str) -> str:
    """The value of a setting that only some commands need. Raises SettingsError without it."""
    if value is None:
        raise SettingsError(f"settings: {name} is not set")
    return value


def _name(item: Field[Any]) -> str:
    name: str = item.metadata["name"]
    return name


def _read(item: Field[Any], environment: Mapping[str, str]) -> str | None:
    name = _name(item)
    if value := environment.get(name):
        return value
    file = environment.get(f"{name}_FILE") if item.metadata.get("secret") else None
    if not file:
        return None
    try:
        return Path(file).read_text().strip() or None
    except OSError as error:
        raise SettingsError(f"settings: {name}_FILE can't be read ({error.strerror})") from None
