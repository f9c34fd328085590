"""Finds orders by their handles, by other keys, and by filters. Each statement reads a limited number of rows."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, FromClause, and_, func, literal, or_, select, tuple_, union_all

from countermand.actions.ordering.search_ports import (
    OfHandle,
    OfTime,
    OrderFilters,
    OrderSummary,
    Span,
    SpanPage,
    Term,
)
from countermand.domain.orders.order import LARGEST_ORDER_ID, Order, OrderId
from countermand.domain.orders.search_handles import WORD, exact_handle, name_in
from countermand.storage.repositories.documents import decoded_details
from countermand.storage.repositories.refusals import has_code
from countermand.storage.repositories.rows import order_of, orders_named
from countermand.storage.sql_types import Column, Query
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.appointments import appointments
from countermand.storage.tables.cancelling import cancellations, refusals
from countermand.storage.tables.catalogue import products
from countermand.storage.tables.columns import instant, micros
from countermand.storage.tables.orders import order_details, order_lines, orders, payment_references
from countermand.storage.tables.search import order_search
from countermand.storage.tables.tickets import tickets

HANDLES_LOOKED_AT: Final = 1000  # of a span, for a page
ORDERS_LOOKED_AT: Final = 20_000  # for a page of a list
_OTHER_KEYS: Final = 20
_AFTER_ALL: Final = "\U0010ffff"  # no text has it, so all that begin with a prefix lie before prefix + this
_KEY: Final = order_search.c.handle, order_search.c.order_id
_OTHER: Final = order_search.alias("other")


class OrderSearchRows(StatementRunner):
    """Implements `OrderSearch`."""

    async def orders_with_reference(self, reference: str, at_most: int) -> Sequence[Order]:
        """See `OrderSearch.orders_with_reference`."""
        found = (
            orders_named()
            .join(order_search, order_search.c.order_id == orders.c.id)
            .where(order_search.c.handle == exact_handle(reference), order_details.c.reference == reference)
            .order_by(orders.c.id)
            .limit(at_most)
        )
        return [order_of(row, self._kinds) for row in await self.rows(found)]

    async def orders_by_other_keys(self, text: str, number: int | None) -> Sequence[OrderId]:
        """See `OrderSearch.orders_by_other_keys`. Each of these columns has an index of its own."""
        paid = select(payment_references.c.order_id).where(payment_references.c.reference == text)
        queries: list[Query] = [
            paid,
            *(_limited(tickets.c.order_id, column == text) for column in (tickets.c.uid, tickets.c.code)),
        ]
        if number is not None and number <= LARGEST_ORDER_ID:
            queries.append(_limited(appointments.c.order_id, appointments.c.id == number))
        return [OrderId(row["order_id"]) for row in await self.rows(union_all(*queries))]

    async def handle_counts(self, handles: Sequence[str], at_most: int) -> Mapping[str, int]:
        """See `OrderSearch.handle_counts`."""
        (row,) = await self.rows(counts_of(handles, at_most))
        return {one: int(row[f"handle_{number}"]) for number, one in enumerate(handles)}

    async def orders_in_span(
        self, span: Span, filters: OrderFilters, after: OfHandle | None, at_most: int
    ) -> SpanPage[OfHandle]:
        """See `OrderSearch.orders_in_span`. At most `HANDLES_LOOKED_AT` handles are looked at."""
        within = _within(span.handle, is_prefix=span.is_prefix)
        if after is not None:
            within.append(tuple_(*_KEY) > tuple_(*after))
        look = select(*_KEY).where(*within).order_by(*_KEY)
        end = await self._one(look.offset(HANDLES_LOOKED_AT - 1).limit(1)) if span.is_long else None
        until: OfHandle | None = None
        if end is not None:
            until = end["handle"], OrderId(end["order_id"])
            look = look.where(tuple_(*_KEY) <= tuple_(*until))
        if span.shown:
            look = look.where(order_search.c.order_id.not_in(span.shown))
        look = look.where(*(_has_term(term) for term in span.terms), *_stands_first(span))
        if met := [*_along_the_index(filters), *_met(filters)]:
            look = look.where(_there_is(orders, orders.c.id == order_search.c.order_id, *met))
        rows = await self.rows(look.limit(at_most))
        return SpanPage(places=[(row["handle"], OrderId(row["order_id"])) for row in rows], looked_until=until)

    async def orders_by_time(self, filters: OrderFilters, after: OfTime | None, at_most: int) -> SpanPage[OfTime]:
        """See `OrderSearch.orders_by_time`. At most `ORDERS_LOOKED_AT` orders are looked at, along one index."""
        key = orders.c.created_at, orders.c.id
        within = _along_the_index(filters)
        if after is not None:
            within.append(tuple_(*key) < tuple_(micros(after[0]), after[1]))
        look = select(*key).where(*within).order_by(*(column.desc() for column in key))
        end = await self._one(look.offset(ORDERS_LOOKED_AT - 1).limit(1))
        until: OfTime | None = None
        if end is not None:
            until = instant(end["created_at"]), OrderId(end["id"])
            look = look.where(tuple_(*key) >= tuple_(end["created_at"], end["id"]))
        rows = await self.rows(look.where(*_met(filters)).limit(at_most))
        return SpanPage(places=[(instant(row["created_at"]), OrderId(row["id"])) for row in rows], looked_until=until)

    async def orders_that_meet(self, filters: OrderFilters, order_ids: Sequence[OrderId]) -> Sequence[OrderId]:
        """See `OrderSearch.orders_that_meet`."""
        conditions = [*_along_the_index(filters), *_met(filters)]
        found = await self.rows(select(orders.c.id).where(orders.c.id.in_(order_ids), *conditions))
        there = {row["id"] for row in found}
        return [order_id for order_id in order_ids if order_id in there]

    async def summaries(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderSummary]:
        """See `OrderSearch.summaries`."""
        found = orders_named().add_columns(order_details.c.details).where(orders.c.id.in_(order_ids))
        summaries = {}
        for row in await self.rows(found):
            order = order_of(row, self._kinds)
            name = name_in(decoded_details(order.kind, row["details"]))
            summaries[order.id] = OrderSummary(order=order, name=name)
        return summaries


def counts_of(handles: Sequence[str], at_most: int) -> Query:
    """Return a query with a count of each handle. The order by the primary key leads PostgreSQL to read along it.

    Without an order, PostgreSQL reads the table from its start until it has met enough handles, however far that is.
    """
    counted = []
    for number, one in enumerate(handles):
        some = select(literal(1)).where(*_within(one, is_prefix=one[:1] == WORD)).order_by(*_KEY).limit(at_most)
        counted.append(select(func.count()).select_from(some.subquery()).scalar_subquery().label(f"handle_{number}"))
    return select(*counted)


def _within(handle: str, *, is_prefix: bool) -> list[ColumnElement[bool]]:
    """Return the condition of a handle or, with `is_prefix`, of all handles that begin with it."""
    if not is_prefix:
        return [order_search.c.handle == handle]
    return [order_search.c.handle >= handle, order_search.c.handle < handle + _AFTER_ALL]


def _limited(order_id: Column, condition: ColumnElement[bool]) -> Query:
    """Return some orders. In a subquery, because SQLite takes no limit within a UNION otherwise."""
    return select(select(order_id).where(condition).order_by(order_id).limit(_OTHER_KEYS).subquery().c.order_id)


def _there_is(within: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether there is such a row. The database asks it row by row; it makes no join of an EXISTS like this."""
    return select(literal(1)).select_from(within).where(*conditions).limit(1).scalar_subquery().is_not(None)


def _of_this_order(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether the order of a handle has another handle that meets the conditions, by the index of orders."""
    return _there_is(_OTHER, _OTHER.c.order_id == order_search.c.order_id, *conditions)


def _starts(handle: Column, prefix: str) -> ColumnElement[bool]:
    """Return the condition in a form that leads no database to the primary key, which would be slow here."""
    return func.substr(handle, 1, len(prefix)) == prefix


def _has_term(term: Term) -> ColumnElement[bool]:
    exact = _OTHER.c.handle == term.exact
    starts = [_starts(_OTHER.c.handle, WORD + word) for word in term.words]
    if len(starts) == 1:
        return _of_this_order(or_(exact, starts[0]))
    named = [and_(*(_of_this_order(one) for one in starts))] if starts else []
    return or_(_of_this_order(exact), *named)


def _stands_first(span: Span) -> list[ColumnElement[bool]]:
    """Return the condition that the order stands neither in an earlier span nor earlier in this one."""
    earlier: list[ColumnElement[bool]] = []
    if span.before:
        earlier.append(_OTHER.c.handle.in_(span.before))
    if span.is_prefix:
        earlier.append(_starts(_OTHER.c.handle, span.handle) & (_OTHER.c.handle < order_search.c.handle))
    return [~_of_this_order(or_(*earlier))] if earlier else []


def _along_the_index(filters: OrderFilters) -> list[ColumnElement[bool]]:
    """Return the conditions on the columns by which orders are sorted, and on the client, who has such an index."""
    met: list[ColumnElement[bool]] = []
    if filters.client_id is not None:
        met.append(orders.c.client_id == filters.client_id)
    if filters.placed_from is not None:
        met.append(orders.c.created_at >= micros(filters.placed_from))
    if filters.placed_until is not None:
        met.append(orders.c.created_at < micros(filters.placed_until))
    return met


def _met(filters: OrderFilters) -> list[ColumnElement[bool]]:
    """Return the conditions that no index knows."""
    met: list[ColumnElement[bool]] = []
    if filters.contract is not None:
        met.append(orders.c.contract == filters.contract)
    if filters.states is not None:
        met.append(orders.c.state.in_(sorted(filters.states)))
    for wanted, column in (
        (filters.has_appointment, orders.c.appointment_starts_at),
        (filters.is_paid, orders.c.first_payment_at),
    ):
        if wanted is not None:
            met.append(column.is_not(None) if wanted else column.is_(None))
    if filters.appointment_from is not None:
        met.append(orders.c.appointment_starts_at >= micros(filters.appointment_from))
    if filters.appointment_until is not None:
        met.append(orders.c.appointment_starts_at < micros(filters.appointment_until))
    if filters.cancelled_by is not None:
        by_person = isinstance(filters.cancelled_by, str)
        by = (cancellations.c.staff_id if by_person else cancellations.c.client_id) == filters.cancelled_by
        met.append(_there_is(cancellations, cancellations.c.order_id == orders.c.id, by))
    if filters.refused_code is not None:
        with_code = has_code(filters.refused_code)
        met.append(_there_is(refusals, refusals.c.order_id == orders.c.id, with_code))
    return met + [_has_line(condition) for condition in _bought(filters)]


def _bought(filters: OrderFilters) -> list[ColumnElement[bool]]:
    bought: list[ColumnElement[bool]] = []
    if filters.product_uid is not None:
        bought.append(order_lines.c.product_uid == filters.product_uid)
    if filters.event_uid is not None:
        of_event: Query = select(products.c.uid).where(products.c.event_uid == filters.event_uid)
        bought.append(order_lines.c.product_uid.in_(of_event))
    return bought


def _has_line(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return _there_is(order_lines, order_lines.c.order_id == orders.c.id, condition)
