"""Remembers which clients called, until a background task writes it: a request never waits for that."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from countermand.domain.client import ClientId

WRITTEN_EVERY: Final = timedelta(hours=1)


class ClientUses:
    """The clients that this node let in, and whose last use is not written yet."""

    def __init__(self) -> None:
        self._called: set[ClientId] = set()  # since the last look at the clock
        self._used: dict[ClientId, datetime] = {}
        self._stored: dict[ClientId, datetime] = {}
        self.note = self._called.add

    @property
    def any(self) -> bool:
        """Whether there is a use that is not written yet."""
        return bool(self._called or self._used)

    def due(self, now: datetime) -> Mapping[ClientId, datetime]:
        """Return the last uses of the clients whose stored last use is an hour old or older, sorted by client.

        A use that is not due waits until it is: so a client's last call is never left out.
        """
        self._used |= dict.fromkeys(self._called, now)
        self._called.clear()
        self._stored = {one: at for one, at in self._stored.items() if now - at < WRITTEN_EVERY}
        return {one: at for one, at in sorted(self._used.items()) if one not in self._stored}

    def written(self, asked: Iterable[ClientId], stored: Mapping[ClientId, datetime]) -> None:
        """Note which last uses the database has, after it was asked to write those of some clients."""
        self._stored |= stored
        for one in asked:
            if one not in stored or stored[one] >= self._used[one]:
                del self._used[one]
