#!/bin/sh
# The namespace of Amends; a closed saga stays in the Web UI for 30 days, in the ledger for ever.
set -eu
until temporal operator cluster health; do sleep 1; done
temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" ||
  temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention 30d
