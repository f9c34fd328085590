"""Remembers which clients called, until a background task writes it: a request never waits for that."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from countermand.domain.client import ClientId

WRITTEN_EVERY: Final = timedelta(hours=1)


class ClientUses:
    """The clients that this node let in since the last writing."""

    def __init__(self) -> None:
        self._called: set[ClientId] = set()
        self._written: dict[ClientId, datetime] = {}
        self.note = self._called.add

    @property
    def any(self) -> bool:
        """Whether a client called since the last writing."""
        return bool(self._called)

    def due(self, now: datetime) -> Sequence[ClientId]:
        """Return the clients that called and whose last use was not written within the hour, sorted."""
        self._written = {one: at for one, at in self._written.items() if now - at < WRITTEN_EVERY}
        self._called.difference_update(self._written)
        return sorted(self._called)

    def written(self, ids: Sequence[ClientId], now: datetime) -> None:
        """Note that the last use of these clients is written."""
        self._called.difference_update(ids)
        self._written |= dict.fromkeys(ids, now)
