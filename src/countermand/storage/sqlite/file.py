"""Is the database still the file that was opened?"""

from os.path import samestat
from pathlib import Path

from countermand.actions.errors import UnavailableError


class OpenFile:
    """A file that was taken away or replaced stays open, and would take what nobody ever reads again."""

    def __init__(self, path: Path) -> None:
        self._path, self._opened = path, path.stat()

    def check(self) -> None:
        """Raise `UnavailableError` unless it is still there. A few microseconds: asked for every transaction."""
        try:
            same = samestat(self._path.stat(), self._opened)
        except OSError:
            same = False
        if not same:
            raise UnavailableError(f"the database is no longer at {self._path}")
