"""What the statements that count need of a driver itself, within one transaction.

The SQL toolkit costs several times as much as these statements do. Each database implements this in its own words
(`postgres/direct.py`, `sqlite/direct.py`); what it returns are rows, which `repositories/` converts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from countermand.storage.sql_types import Row

if TYPE_CHECKING:  # what converts rows also runs statements of the toolkit, which need this protocol
    from countermand.storage.repositories.new_orders import NewRows
    from countermand.storage.repositories.offers import OfferNames, OfferRows
    from countermand.storage.repositories.rows import ViewRows


class Direct(Protocol):
    """Runs statements over the driver. A driver's error passes through, for the caller to translate."""

    async def begin(self) -> None:
        """Begin the transaction, unless it has begun."""
        ...

    async def claim(self, number: int) -> None:
        """Wait for the end of a transaction that has claimed this number of 64 bits; then this one has claimed it."""
        ...

    async def rows(self, statement: str, *arguments: object) -> Sequence[Row]:
        """Run a statement that both databases understand, with `$1` and so on for its arguments; return its rows."""
        ...

    async def next_numbers(self, counters: Sequence[str]) -> Sequence[int]:
        """Count up each of these counters, and return their numbers."""
        ...

    async def offer_rows(self, named: "OfferNames", counter: str | None = None) -> tuple["OfferRows", int | None]:
        """Return the rows of these items of the catalogue, and the next number of the counter, if there is one."""
        ...

    async def insert_new(self, new: "NewRows") -> Sequence[Row]:
        """Write a new order, and take its places off the stock. Return the products that had enough of them."""
        ...

    async def view_rows(self, order_ids: Sequence[int]) -> "ViewRows":
        """Return the rows of orders, as of one instant: in one round trip, unless there are many orders."""
        ...
