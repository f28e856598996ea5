"""`python -m starter.cli`: the same as the console script."""

from starter.cli import main

main()
