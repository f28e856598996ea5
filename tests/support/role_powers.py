"""What no role of a ledger's server may do, whatever its rights on the tables."""

import psycopg

OUT_OF_REACH = (
    "SELECT lo_from_bytea(0, 'stays')",
    "SELECT lo_creat(-1)",
    "SELECT pg_cancel_backend(pg_backend_pid())",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SET temp_file_limit = -1",
)


async def within_reach(url: str) -> list[str]:
    """The statements and databases that the role of this URL can use, and should not."""
    found = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in OUT_OF_REACH:
            try:
                await connection.execute(statement.encode())
                found.append(statement)
            except psycopg.errors.InsufficientPrivilege:
                continue
        limit = await (await connection.execute("SHOW temp_file_limit")).fetchone()
        found += ["files without end"] if limit == ("-1",) else []
    for database in ("postgres", "template1"):
        elsewhere = psycopg.conninfo.make_conninfo(url, dbname=database)
        try:
            await (await psycopg.AsyncConnection.connect(elsewhere)).close()
            found.append(database)
        except psycopg.OperationalError as error:
            if "permission denied for database" not in str(error):
                raise
    return found
