"""The proof: `verify`, what it checks, and the projections that `rebuild` makes anew."""
