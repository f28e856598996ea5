"""Alembic's entry: runs the migrations on the connection that `ledger.migrate` hands over."""

from alembic import context

from ledger.noun import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table_schema="ledger",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
