"""Protocols that the search for orders needs, and `storage` implements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.staff_id import StaffId

Place = TypeVar("Place")
OfHandle = tuple[str, OrderId]  # a place in the list of handles
OfTime = tuple[datetime, OrderId]  # a place in the list of orders by the time when they were placed


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderFilters:
    """What an order must meet to be found. None means that it does not matter. `until` is the first instant after."""

    contract: ContractName | None = None
    client_id: ClientId | None = None
    states: frozenset[str] | None = None
    event_uid: str | None = None
    product_uid: str | None = None
    placed_from: datetime | None = None
    placed_until: datetime | None = None
    has_appointment: bool | None = None
    appointment_from: datetime | None = None
    appointment_until: datetime | None = None
    is_paid: bool | None = None
    cancelled_by: ClientId | StaffId | None = None
    refused_code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """A word of a question. An order meets it with the handle `exact`, or with names that begin with all `words`."""

    exact: str
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A part of the list of handles: one handle or, with `is_prefix`, all handles that begin with it.

    Its orders also meet all `terms`. The orders that have one of the handles `before`, and the orders `shown`, are left
    out, because they stand earlier in the result. `is_long` says that there may be more handles than are looked at.
    """

    handle: str
    is_prefix: bool = False
    terms: tuple[Term, ...] = ()
    before: tuple[str, ...] = ()
    shown: tuple[OrderId, ...] = ()
    is_long: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanPage(Generic[Place]):
    """Some places of a list that fit. If the look ended before the end of the list, `looked_until` is where."""

    places: Sequence[Place]
    looked_until: Place | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderSummary:
    """An order with the name of its customer."""

    order: Order
    name: str | None


class OrderSearch(Protocol):
    """Finds orders."""

    async def order(self, order_id: OrderId) -> Order | None:
        """Return the order with this number, or None."""
        ...

    async def orders_with_reference(self, reference: str, at_most: int) -> Sequence[Order]:
        """Return the orders with this reference, which is the number that people read on their papers."""
        ...

    async def orders_by_other_keys(self, text: str, number: int | None) -> Sequence[OrderId]:
        """Return the orders that have a payment with this reference, or a ticket with this uid or code.

        With a number, also the order that has this appointment. No handle is needed for that.
        """
        ...

    async def handle_counts(self, handles: Sequence[str], at_most: int) -> Mapping[str, int]:
        """Return how often each handle is there, counted up to a limit: for a word, all handles that begin with it."""
        ...

    async def orders_in_span(
        self, span: Span, filters: OrderFilters, after: OfHandle | None, at_most: int
    ) -> SpanPage[OfHandle]:
        """Return the next orders of a span. An order stands only at the first of its handles in the span."""
        ...

    async def orders_by_time(self, filters: OrderFilters, after: OfTime | None, at_most: int) -> SpanPage[OfTime]:
        """Return the next orders, newest first."""
        ...

    async def orders_that_meet(self, filters: OrderFilters, order_ids: Sequence[OrderId]) -> Sequence[OrderId]:
        """Return those of some orders that meet the filters, in the given order."""
        ...

    async def summaries(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderSummary]:
        """Return orders with the names of their customers."""
        ...
