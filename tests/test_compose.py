"""docker-compose.yml says what the code reads, and holds no secret."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from ledger.migrations.upgrade import upgrade
from tests.support.role_powers import within_reach
from worker.embedded.folder import DataFolder
from worker.embedded.ports import Ports
from worker.embedded.postgres import Cluster, programs
from worker.settings import MIGRATE_NEEDS, Settings

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
# What the SDK reads (temporalio.envconfig), of which we set these.
TEMPORAL_SETTINGS = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}

# The roles of docker/roles.sql with the variable of each one's password.
ROLES = {
    "amends_owner": "AMENDS_OWNER_PASSWORD",
    "amends_worker": "AMENDS_WORKER_PASSWORD",
    "amends_auditor": "AMENDS_AUDITOR_PASSWORD",
    "mock_bank": "MOCK_BANK_PASSWORD",
}


def environment(service: str) -> dict[str, str]:
    """As Compose passes it on when every password is `secret`."""
    values = SERVICES[service]["environment"].items()
    return {name: re.sub(r"\$\{\w+:\?[^}]*\}", "secret", value) for name, value in values} | {
        name: "" for name, value in values if value.endswith(":-}")
    }


def test_the_settings_of_each_service_are_read_and_enough_and_hold_no_other_ones_password() -> None:
    for service in ("worker", "migrate"):
        assert set(environment(service)) <= Settings.names() | TEMPORAL_SETTINGS
    assert Settings.from_environment(environment("worker")).environment == "production"
    assert "AMENDS_OWNER_PASSWORD" not in str(SERVICES["worker"])
    migrating = Settings.from_environment(environment("migrate"), needs=MIGRATE_NEEDS)
    assert migrating.migration_url == "postgresql://amends_owner:secret@postgres:5432/amends"


def test_no_password_has_a_default() -> None:
    used = re.findall(r"\$\{(\w+)(:?[-?]?)", COMPOSE)
    assert {operator for name, operator in used if name.endswith("_PASSWORD")} == {":?"}
    passwords = re.findall(r"(?:PASSWORD|PWD): (\S+)", COMPOSE)
    assert passwords
    assert [value for value in passwords if not value.startswith("${")] == []


def test_every_image_is_pinned_to_a_version_and_every_long_running_service_is_watched() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), flags=re.M)
    assert [image for image in images if not re.search(r":\d+\.\d+", image)] == []
    watched = {name for name, service in SERVICES.items() if "healthcheck" in service}
    assert watched == {"postgres", "temporal-postgres", "temporal", "worker"}


@pytest.fixture
async def fresh_cluster(session_folder: Path) -> AsyncIterator[Cluster]:
    folder = DataFolder(session_folder / "docker")
    folder.hold()
    ports = Ports(folder.path / "ports.json", {})
    cluster = Cluster("postgres", folder, ports, password="superuser", durable=False)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()
        folder.release()


async def test_the_roles_script_makes_what_the_settings_name(fresh_cluster: Cluster) -> None:
    passwords = {variable: f"of {role}' \\" for role, variable in ROLES.items()}
    psql = await asyncio.create_subprocess_exec(
        *(programs() / "psql", "--no-psqlrc", "--quiet", "--dbname", fresh_cluster.url()),
        *("--file", ROOT / "docker" / "roles.sql"),
        env=os.environ | passwords,
    )
    assert await psql.wait() == 0
    for role, variable in ROLES.items():
        database = "mock_bank" if role == "mock_bank" else "amends"
        url = fresh_cluster.url(role, passwords[variable], database)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            found = await connection.execute("SELECT current_user")
            assert await found.fetchone() == (role,)
        assert await within_reach(url) == []
    owner = fresh_cluster.url("amends_owner", passwords["AMENDS_OWNER_PASSWORD"], "amends")
    assert upgrade(owner)
