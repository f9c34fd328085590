"""What the statements that count need of a driver itself, within one transaction.

The SQL toolkit costs several times as much as these statements do. Each database implements this in its own words
(`postgres/direct.py`, `sqlite/direct.py`); what it returns are rows, which `repositories/` converts.
"""

from collections.abc import Sequence
from typing import Protocol

from countermand.storage.repositories.rows import ViewRows


class Direct(Protocol):
    """Runs statements over the driver. A driver's error passes through, for the caller to translate."""

    async def begin(self) -> None:
        """Begin the transaction, unless it has begun."""
        ...

    async def view_rows(self, order_ids: Sequence[int]) -> ViewRows:
        """Return the rows of orders, as of one instant: in one round trip, unless there are many orders."""
        ...
