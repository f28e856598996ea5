"""The attack in its short form, and each of its laws broken: `make attack` is the long one."""

import ast
import random
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from tests.attack import laws
from tests.attack.damage import DAMAGES
from tests.attack.run import REFUSED, VICTIMS, Plan, attacked, scene, told

PLAN = Plan(rounds=len(VICTIMS), sagas=8, seed=random.randrange(10**6))
PRODUCT = ("ledger", "activities", "workflows", "starter", "worker")


@pytest.mark.timeout(400)
async def test_no_law_is_broken_by_kills_races_and_sql_and_each_is_broken_by_its_damage() -> None:
    async with attacked(PLAN) as (place, clients, outcome):
        assert outcome.broken == {}, told(PLAN, outcome)
        assert set(outcome.kills) == set(VICTIMS)
        assert outcome.sagas >= PLAN.rounds * PLAN.sagas
        assert outcome.attacks > PLAN.rounds
        unseen = {}
        for name, damage in DAMAGES.items():
            async with scene(place, clients) as damaged:
                where: AsyncConnection[laws.Row] = getattr(damaged, damage.where)
                await where.execute("SET session_replication_role = replica")
                touched = 0
                for statement in damage.statements:
                    touched += abs((await where.execute(statement.encode())).rowcount)
                found = await laws.broken(damaged)
            if not touched or not any(sentence.startswith(damage.law) for sentence in found):
                unseen[name] = found
        assert unseen == {}
    broken = {next(law for law in laws.LAWS if law.startswith(d.law)) for d in DAMAGES.values()}
    assert broken == set(laws.LAWS)
    assert told(PLAN, outcome).endswith(
        f"{PLAN.rounds} rounds, {outcome.attacks} attacks, 0 laws broken"
    )
    outcome.broken[REFUSED] = ["worker: something: done"]
    assert "1 laws broken" in told(PLAN, outcome)


def test_the_laws_use_no_code_of_the_product() -> None:
    reads = [Path(laws.__file__), Path(laws.__file__).parents[1] / "support/hash_link.py"]
    for file in reads:
        named = [
            name
            for node in ast.walk(ast.parse(file.read_text()))
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        ]
        assert named
        assert not [name for name in named if name.split(".")[0] in PRODUCT]
