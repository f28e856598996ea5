"""The tour that `make demo` plays, as a process of its own in an empty folder."""

import asyncio
import os
import re
import sys
from pathlib import Path

from activities.adapters.bind.adapter import BindBank
from activities.adapters.payment import TransferOrder
from starter.demo.banks import BindSimulated
from tests.conformance.bind_bank import account_at
from tests.support.driver import CBU

ROOT = Path(__file__).parents[2]


async def test_the_tour_plays_all_its_scenes_and_the_ledger_verifies(tmp_path: Path) -> None:
    tour = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "starter.demo"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await tour.communicate()
    told = out.decode()
    assert tour.returncode == 0, told + err.decode()
    assert re.findall(r"^(\d+)\. ", told, re.MULTILINE) == [str(n) for n in range(1, 11)]
    assert "nothing found" in told


async def test_the_bank_of_the_tour_at_bind_is_a_process_that_is_scripted_and_read() -> None:
    paid, refused = (TransferOrder(f"payment/{it}", 100, "ARS", CBU) for it in ("rent", "shop"))
    async with (
        BindSimulated() as bank,
        BindBank(account_at(bank.settings["AMENDS_BIND_URL"])) as adapter,
    ):
        await bank.script(refused.key, "refuse", 0)
        assert (await adapter.transfer(refused)).status == "refused"
        assert (await adapter.transfer(paid)).status == "executed"
        assert await bank.has(refused.key) == (0, "none")
        assert await bank.has(paid.key) == (1, "executed")
