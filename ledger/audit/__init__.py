"""The audit of the ledger: `verify`, its checks, and `rebuild` with its projections."""
