"""The attack in its short form, and each of its laws broken: `make attack` is the long one."""

import ast
import random
from pathlib import Path

import pytest

from tests.attack import laws
from tests.attack.damage import Damage
from tests.attack.damage_of_business import OF_BUSINESS
from tests.attack.damage_of_record import OF_RECORD
from tests.attack.mutated import TOGETHER, unnoticed
from tests.attack.plan import STORIES, VICTIMS, Plan
from tests.attack.run import REFUSED, attacked, scene, told

PLAN = Plan(rounds=len(VICTIMS), sagas=5, seed=random.randrange(10**6))
DAMAGES = (*OF_RECORD, *OF_BUSINESS)
PRODUCT = ("ledger", "activities", "workflows", "starter", "worker")


@pytest.mark.timeout(400)
async def test_no_law_is_broken_by_kills_and_races_and_each_is_by_damage_or_a_mutation() -> None:
    async with attacked(PLAN) as (place, clients, outcome):
        assert outcome.broken == {}, told(PLAN, outcome)
        assert set(+outcome.kills) == set(VICTIMS)
        assert outcome.sagas >= PLAN.rounds * PLAN.sagas
        assert outcome.attacks > PLAN.rounds
        async with scene(place, clients) as damaged:
            await laws.lay_out(damaged)
            unseen = [damage for damage in DAMAGES if not await _is_seen(damaged, damage)]
        assert unseen == []
        assert await unnoticed(place, clients, [TOGETHER]) == []
    assert {_law(damage) for damage in DAMAGES} == set(laws.LAWS)
    assert told(PLAN, outcome).endswith(
        f"{PLAN.rounds} rounds, {outcome.attacks} attacks, 0 laws broken"
    )
    outcome.broken[REFUSED] = ["worker: something: done"]
    assert "1 laws broken" in told(PLAN, outcome)


async def _is_seen(damaged: laws.Scene, damage: Damage) -> bool:
    """Whether the damage damages anything, and its law names it; afterwards it is undone."""
    where = {"bank": damaged.bank, "target": damaged.target}.get(damage.where, damaged.ledger)
    await where.execute("SET LOCAL session_replication_role = replica")
    touched = 0
    for statement in damage.statements:
        touched += abs((await where.execute(statement.encode())).rowcount)
    if where is not damaged.ledger:
        await laws.look_outside(damaged)
    found = await laws.seen(damaged, _law(damage))
    for connection in (damaged.ledger, damaged.bank, damaged.target):
        await connection.rollback()
    return touched > 0 and any(name.endswith(damage.names) for name in found)


def _law(damage: Damage) -> str:
    (law,) = (law for law in laws.LAWS if law.startswith(damage.law))
    return law


def test_a_seed_draws_one_plan_and_another_seed_another_one() -> None:
    plan = Plan(rounds=20, sagas=8, seed=PLAN.seed)
    drawn = plan.drawn()
    assert drawn == plan.drawn()
    assert drawn != Plan(rounds=20, sagas=8, seed=PLAN.seed + 1).drawn()
    # A longer run begins as a shorter one.
    assert drawn[:3] == Plan(rounds=3, sagas=8, seed=PLAN.seed).drawn()
    assert len(drawn[0].stories) >= len(STORIES)
    names = [
        request["operation_id"]
        for each in drawn
        for story in each.stories
        for _, request in story.requests
    ]
    assert len(names) == len(set(names))
    assert {each.victim for each in drawn[: len(VICTIMS)]} == set(VICTIMS)


def test_the_laws_use_no_code_of_the_product() -> None:
    here = Path(laws.__file__).parent
    reads = [here / f"{name}.py" for name in ("laws", "record", "contents", "business")]
    for file in [*reads, here.parent / "support/hash_link.py"]:
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
        assert not [name for name in named if name.split(".")[0] in PRODUCT]
