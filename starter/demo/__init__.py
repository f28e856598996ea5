"""The tour: what Amends does, on real servers, in half a minute. `make demo` runs it."""
