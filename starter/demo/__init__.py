"""The tour: shows Amends on real servers, in half a minute. `make demo` runs it."""
