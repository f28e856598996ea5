"""Reads the agents for people."""

from ledger.aggregates.agent import AGENT, AgentState
from ledger.database import Database


async def agents(database: Database) -> list[AgentState]:
    """All agents, by name."""
    async with database.connection() as connection:
        cursor = await connection.execute(f"{AGENT.selection} ORDER BY agent_id".encode())
        return [AgentState.model_validate(AGENT.state_of(row)) for row in await cursor.fetchall()]
