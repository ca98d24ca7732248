"""`python -m tenure` is the command `tenure`."""

from tenure.cli.main import main

main()
