"""Speed, measured as ratios in one run on one machine. `make bench` prints the table."""

# Of the sagas that are compared, and of the floor they stand on.
STEPS = 5
