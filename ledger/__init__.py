"""The ledger: events, the state they fold into, the one write path for both, and the readers.

It knows nothing of Temporal and nothing of the other packages.
"""
