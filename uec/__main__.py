"""`python -m uec` is the command `uec`."""

from uec.cli import main

main()
