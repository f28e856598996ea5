"""The aggregate types: for each its events, its state, its table and a pure `evolve`."""
