"""How tests take their own triggers off the log again, since `verify` would find them."""

from typing import Any

from psycopg import AsyncConnection, sql


async def take_off_the_log(connection: AsyncConnection[Any], function: str) -> None:
    """Drop a function of the schema public with its triggers, while others write.

    DROP alone locks each partition before the log, and an insert the log before its partition.
    """
    drop = sql.SQL("DROP FUNCTION public.{} CASCADE").format(sql.Identifier(function))
    async with connection.transaction():
        await connection.execute("LOCK TABLE ledger.event_log IN ACCESS EXCLUSIVE MODE")
        await connection.execute(drop)
