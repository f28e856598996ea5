"""Runs the migrations, as Alembic's entry, on the connection that `upgrade` hands over."""

from alembic import context

from ledger.aggregates.core import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table_schema="ledger",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
