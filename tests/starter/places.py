"""All places that say what a saga waits for."""

from dataclasses import dataclass
from typing import Any

from starter.client.client import Amends
from tests.starter.conftest import Command
from tests.support.until import until

Json = dict[str, Any]


@dataclass(frozen=True)
class Waits:
    """What one saga waits for, as each of the places says it."""

    state: str
    waits_for: str
    whom: str
    needs_somebody: bool = True


@dataclass(frozen=True)
class Places:
    """All places that say what waits."""

    command: Command
    amends: Amends

    async def row(self, saga_id: str) -> Json:
        """The saga in `waiting`; empty where it is not there."""
        rows = (await self.command("waiting", "--json")).json
        return next((row for row in rows if row.get("saga_id") == saga_id), {})

    async def are(self, saga_id: str, wanted: Waits) -> Json:
        """Each place says the same of a saga; returns its row in `waiting`."""
        row = await self.row(saga_id)
        told = (wanted.state, wanted.waits_for, wanted.whom)
        assert (row["state"], row["waits_for"], row["whom"]) == told
        sagas = (await self.command("sagas", "--json", "--limit", "1000")).json
        (listed,) = [each for each in sagas if each["saga_id"] == saga_id]
        lines = (await self.command("sagas", "--limit", "1000")).out.splitlines()
        (line,) = [line for line in lines if line.startswith(f"{saga_id}\t")]
        assert line.split("\t")[1:3] == [wanted.state, wanted.waits_for]
        one = (await self.command("saga", saga_id, "--json")).json
        progress = (await self.amends.progress(saga_id)).model_dump(mode="json")
        for waits in (listed["waits"], one["waits"], progress["waits"]):
            (wait,) = waits
            assert (wait["state"], wait["waits_for"], wait["whom"]) == told
            assert wait["commands"] == row["commands"]
            assert wait["undoing"] == row["undoing"]
        assert (progress["state"], progress["waits_for"]) == told[:2]
        await until(lambda: self.attributes_are(saga_id, wanted))
        return row

    async def attributes_are(self, saga_id: str, wanted: Waits) -> bool:
        described = await self.amends.client.get_workflow_handle(saga_id).describe()
        told = {pair.key.name: pair.value for pair in described.typed_search_attributes}
        found = (told["SagaState"], told.get("SagaStep", ""), told["SagaNeedsAttention"])
        return found == (wanted.state, wanted.waits_for, wanted.needs_somebody)

    async def are_silent(self, saga_id: str) -> None:
        """No place says that the saga waits."""
        await self.amends.result(saga_id)
        assert await self.row(saga_id) == {}
        sagas = (await self.command("sagas", "--json", "--limit", "1000")).json
        assert [each["waits"] for each in sagas if each["saga_id"] == saga_id] == [[]]
        assert (await self.command("saga", saga_id, "--json")).json["waits"] == []
        progress = await self.amends.progress(saga_id)
        assert (progress.waits, progress.waits_for) == ([], "")
        attributes = Waits(progress.state, "", "", needs_somebody=False)
        await until(lambda: self.attributes_are(saga_id, attributes))


def id_of(request: Json) -> str:
    return f"payment/{request['operation_id']}"
