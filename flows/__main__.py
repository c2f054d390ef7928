"""`python -m flows` is the command line, for a checkout that is not installed."""

from flows.cli import main

main()
