"""A later version of Amends with other rules: a copy of the code in which each rule is tighter.

What one version admitted meets it as it would after a deployment: in a worker, a command line and
a replayer of their own processes. Each change names the text that it replaces, so that none is
lost when the code moves on.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.worker_process import ROOT

PACKAGES = ("ledger", "activities", "workflows", "starter", "worker", "tests")
# By file: what stands there, and what a later version has in its place.
TIGHTER: Mapping[str, Mapping[str, str]] = {
    # Pesos are retired, and no payment is as large as before.
    "ledger/aggregates/amounts.py": {
        "for currency in Currency}": 'for currency in Currency if currency.code != "ARS"}',
    },
    "ledger/aggregates/money.py": {
        "MAX_MINOR = 1_000_000_000_000": "MAX_MINOR = 100",
    },
    "ledger/aggregates/time_zones.py": {
        'files("tzdata").joinpath("zones").read_text().split()': '["Europe/Madrid"]',
    },
    "activities/adapters/cbu.py": {"BANK_WEIGHTS = (7, 1,": "BANK_WEIGHTS = (1, 7,"},
    "activities/providers/postgres/spec.py": {
        "[a-z][a-z0-9_-]*": "[q][a-z0-9_-]*",
        "strict=True)] = True": "strict=True)] = False",
    },
    "workflows/contract/validation.py": {"MAX_INPUT_BYTES = 131_072": "MAX_INPUT_BYTES = 150"},
    "workflows/contract/fields.py": {
        "MAX_METADATA_BYTES = 2_048": "MAX_METADATA_BYTES = 2",
        'OperationId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]': (
            'OperationId = Annotated[str, Field(pattern=r"^op[0-9]{1,8}$")]'
        ),
        'Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]': (
            'Name = Annotated[str, Field(pattern=r"^q[0-9]{1,8}$")]'
        ),
        'r"^(user|agent):[A-Za-z0-9._@+-]{1,64}$"': 'r"^user:u-[0-9]{1,4}$"',
        "Line = Annotated[str, Field(max_length=200)": "Line = Annotated[str, Field(max_length=3)",
        "le=timedelta(days=366)": "le=timedelta(minutes=1)",
    },
    "workflows/contract/payment.py": {
        # A field is gone, and the defaults are others.
        '    description: Line = ""\n': "",
        '"manual"] = "automatic"': '"manual"] = "manual"',
        "approve_within: Duration = timedelta(days=1)": (
            "approve_within: Duration = timedelta(seconds=1)"
        ),
    },
    "workflows/payment.py": {
        # The steps of sagas that were begun with it take it from where it is kept.
        "description=request.description": (
            'description=(request.model_extra or {}).get("description", "")'
        ),
    },
    "workflows/contract/policy.py": {'TimeZone = "UTC"': 'TimeZone = "Europe/Madrid"'},
    "workflows/contract/change.py": {
        "MAX_RESOURCES = 200": "MAX_RESOURCES = 1",
        'environment: Name = "dev"': 'environment: Name = "prod"',
    },
    "workflows/contract/sweep.py": {"[a-z]+/[A-Za-z0-9._:-]{1,128}": "[a-z]+/op[0-9]{1,8}"},
}


def later_version(folder: Path, *, but: str = "") -> Path:
    """Copies the code to a folder and tightens the copy, `but` for one file. Raises AssertionError
    for a change that finds nothing to replace."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, changes in TIGHTER.items():
        if name == but:
            continue
        text = (folder / name).read_text()
        for was, becomes in changes.items():
            assert was in text, f"{name} has no {was!r} any more: tighten it otherwise"
            text = text.replace(was, becomes)
        (folder / name).write_text(text)
    return folder


async def run(folder: Path, environment: Mapping[str, str], *words: str) -> tuple[int, str]:
    """Runs a module of the copy to its end; returns the exit status and what it printed."""
    ours = {name: value for name, value in os.environ.items() if "TEMPORAL" not in name}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *words),
        cwd=folder,
        env=ours | dict(environment) | {"PYTHONPATH": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()
