"""Requests for mandates."""

from typing import Any

from tests.support.driver import USER, Driver, Json, new_id


def grant(agent: str, parent: str | None = None, **terms: Any) -> Json:
    """A mandate of an agent under a new name."""
    of = {"currency": "ARS"} if parent is None else {"parent": parent}
    return {
        "operation_id": new_id("grant"),
        "action": "grant",
        "mandate": new_id("mandate"),
        "agent_id": agent,
        **of,
        **USER,
        **terms,
    }


def revoke(mandate: str, **more: Any) -> Json:
    return {
        "operation_id": new_id("revoke"),
        "action": "revoke",
        "mandate": mandate,
        **USER,
        **more,
    }


async def granted(driver: Driver, agent: str, parent: str | None = None, **terms: Any) -> str:
    """The name of a mandate that is granted."""
    request = grant(agent, parent, **terms)
    result = await driver.run(request)
    assert result == {"state": "granted", "mandate": request["mandate"], "unsigned": True}
    return str(result["mandate"])
