"""`python -m countermand`, and the command `countermand`."""

import gc

gc.disable()  # what is imported stays; to look for cycles in it meanwhile costs a sixth of the time

from countermand.cli import main  # noqa: E402

gc.enable()

if __name__ == "__main__":
    main()
