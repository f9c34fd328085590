"""What the feed of order events needs of a database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderId, OrderUid


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedHead:
    """The state of the feed.

    The search for events without a position begins at `complete_until`. Events that were delivered before `began_at`
    are not in the feed. `checked_up_to` is the number of the order up to which the check of the whole outbox has come.
    """

    generation: int
    last: int
    deleted_up_to: int
    complete_until: datetime
    began_at: datetime
    checked_up_to: OrderId


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxEvent:
    """An order event in the outbox. `digest` tells it from another one of the same order, version and kind."""

    order_id: OrderId
    order_version: int
    kind: str
    recorded_at: datetime
    details: Mapping[str, object]
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberedEvent:
    """A position and the digest of its event. `recorded_at` and `details` are None if the event was deleted.

    An event about an endpoint has no contract, and the endpoint's negative number as its order.
    """

    position: int
    order_id: OrderId
    contract: ContractName | None
    uid: OrderUid | None
    order_version: int
    kind: str
    digest: str
    recorded_at: datetime | None
    details: Mapping[str, object] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unnumbered:
    """Orders that have events without a position. `until` is None if these are all, else how far the search came."""

    orders: frozenset[OrderId]
    until: datetime | None


class FeedReading(Protocol):
    """Reads the feed."""

    async def feed_head(self) -> FeedHead:
        """Return the state of the feed."""
        ...

    async def numbered_after(self, position: int, at_most: int) -> Sequence[NumberedEvent]:
        """Return the positions after a position, in their order."""
        ...

    async def numbered_between(
        self, position: int, up_to: int, of_client: ClientId, at_most: int
    ) -> Sequence[NumberedEvent]:
        """Return the first positions after a position and up to another whose orders belong to a client."""
        ...

    async def unnumbered_since(self, since: datetime, began_at: datetime, at_most: int) -> Unnumbered:
        """Return the orders of at most `2 * at_most` events without a position that were recorded or delivered since.

        An event that was delivered before its position was given counts only if it was recorded after `began_at`.
        """
        ...

    async def unnumbered_orders_after(
        self, order_id: OrderId, began_at: datetime, at_most: int
    ) -> tuple[frozenset[OrderId], OrderId | None]:
        """Look at `at_most` events of the orders after a number, whenever they were recorded, and the last one's order.

        Returns the orders that have events without a position, and the last order; None if no more orders have events.
        """
        ...

    async def generations_after(self, generation: int) -> Sequence[int]:
        """Return the last position before each generation that began after a generation."""
        ...


class FeedWriting(FeedReading, Protocol):
    """Gives positions."""

    async def lock_feed_head(self) -> FeedHead:
        """Lock the state of the feed until the transaction ends, and return it."""
        ...

    async def unnumbered_events(self, orders: frozenset[OrderId], began_at: datetime) -> Sequence[OutboxEvent]:
        """Return all events of these orders that have no position yet."""
        ...

    async def add_to_feed(self, after: int, events: Sequence[OutboxEvent]) -> None:
        """Give the events the positions after `after`, in this order."""
        ...

    async def write_feed_head(self, head: FeedHead) -> None:
        """Write the state of the feed, which is locked."""
        ...

    async def begin_generation(self, generation: int, began_after: int) -> None:
        """Note a generation of the feed, and the last position before it."""
        ...

    async def delete_from_feed(self, up_to: int) -> None:
        """Delete the positions up to a position."""
        ...
