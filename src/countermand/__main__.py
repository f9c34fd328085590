"""`python -m countermand`."""

from countermand.cli import main

main()
