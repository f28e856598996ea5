"""The aggregate types: the events, state, table and pure `evolve` of each."""
