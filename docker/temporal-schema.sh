#!/bin/sh
# Temporal's two databases, made or brought up to date with its own tool.
set -eu
for store in temporal visibility; do
  case $store in temporal) database=temporal ;; *) database=temporal_visibility ;; esac
  tool() {
    SQL_PASSWORD=$POSTGRES_PWD temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_SEEDS" \
      -u "$POSTGRES_USER" -p 5432 --db "$database" "$@"
  }
  tool create
  # Leaves a newer schema as it is; the update does what is left to do.
  tool setup-schema -v 0.0
  tool update-schema -d "/etc/temporal/schema/postgresql/v12/$store/versioned"
done
