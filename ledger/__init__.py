"""The ledger: events, the state they fold into, the one way to write both, and the readers.

It knows nothing of Temporal and nothing of the other rooms.
"""
