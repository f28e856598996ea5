"""The tour that `make demo` plays, as a process of its own in an empty folder."""

import asyncio
import os
import re
import sys
from pathlib import Path

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
