"""PostgreSQL and Temporal as child processes, from wheels: for `amends up`, the demo, the tests."""
