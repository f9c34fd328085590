"""Serves a database as `countermand serve` does, but sends events again by a schedule of seconds.

The settings come from the environment. The arguments are the pauses between the attempts, in seconds.
"""

import sys
from datetime import timedelta

from countermand.domain.delivering.schedule import Schedule
from countermand.serving import Reached, serve
from countermand.settings import read_settings


def main() -> None:
    """Serve until a signal comes."""
    pauses = [timedelta(seconds=float(text)) for text in sys.argv[1:]]
    serve(read_settings(), schedule=Schedule(pauses=pauses), announce=_say_ready)


def _say_ready(reached: Reached) -> None:
    print(f"Countermand is ready at {reached}", flush=True)


if __name__ == "__main__":
    main()
