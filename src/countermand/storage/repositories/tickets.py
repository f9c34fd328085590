"""Reads and writes what ticket orders need: lists, tickets, consumers, uses of vouchers, and the time limits to pay."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, case, cast, delete, exists, func, insert, select, update

from countermand.actions.catalogue.ports import Condition, Page
from countermand.actions.slices import in_slices
from countermand.actions.ticketing.ports import KnownConsumer
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import TicketOrderDetails
from countermand.domain.orders.order_state import OrderState
from countermand.domain.ticketing.consumer import Consumer
from countermand.storage.repositories.documents import changed_document, decoded_consumer, encoded_document
from countermand.storage.repositories.filters import Field, Filtering, compared
from countermand.storage.sql_types import Row
from countermand.storage.tables.catalogue import products
from countermand.storage.tables.columns import instant, micros
from countermand.storage.tables.orders import expiries, order_details, order_lines, orders
from countermand.storage.tables.tickets import consumers, tickets

_EVENT: Final = "event"
_TOTAL: Final = "total"
_ORDERS: Final = {
    "state": Field(column=orders.c.state),
    "created": Field(column=orders.c.created_at),
    "external_reference": Field(column=order_details.c.details, path=("external_reference",)),
    _TOTAL: Field(column=order_details.c.details, path=("grand_total_minor",)),
}
_OF_DETAILS: Final = frozenset(name for name, field in _ORDERS.items() if field.column is order_details.c.details)
_GENDER: Final = "gender"
_CONSUMERS: Final = {
    name: Field(column=consumers.c.details, path=(name,))
    for name in (
        "email",
        "first_name",
        "last_name",
        "date_of_birth",
        _GENDER,
        "postal_code",
        "city",
        "country",
        "state",
    )
}
# The filters of a list of consumers that look at the orders of a consumer.
_OF_CONSUMERS_ORDERS: Final = {
    "reference": Field(column=order_details.c.reference),
    "external_reference": _ORDERS["external_reference"],
}
_CONSUMER_OF_ORDER: Final = Field(column=order_details.c.details, path=("consumer", "uid"))


class TicketingRows(Filtering):
    """Implements the protocols of `actions/ticketing/ports.py`, and lists orders."""

    async def orders_listed(
        self,
        contract: ContractName,
        owner: ClientId | None,
        conditions: Sequence[Condition],
        *,
        offset: int,
        at_most: int,
    ) -> Page[OrderId]:
        """See `OrderLists.orders_listed`."""
        found = select(orders.c.id).where(*(self._order_met(one) for one in conditions))
        if any(one.field in _OF_DETAILS for one in conditions):
            found = found.join(order_details, order_details.c.order_id == orders.c.id)
        if owner is None:
            found = found.where(orders.c.contract == contract)
        else:  # a client's orders all belong to the client's contract, and one index has them in this order
            found = found.where(orders.c.client_id == owner)
        rows, total = await self._page_from_nearer_end(found, (orders.c.created_at, orders.c.id), offset, at_most)
        return Page(items=[OrderId(row["id"]) for row in rows], total=total)

    async def order_of_ticket(self, uid: str) -> OrderId | None:
        """See `TicketReading.order_of_ticket`."""
        rows = await self.rows(select(tickets.c.order_id).where(tickets.c.uid == uid).limit(1))
        return OrderId(rows[0]["order_id"]) if rows else None

    async def orders_with_code(self, event_uid: str, code: str) -> Sequence[OrderId]:
        """See `TicketReading.orders_with_code`."""
        found = (
            select(tickets.c.order_id)
            .join(products, products.c.uid == tickets.c.product_uid)
            .where(tickets.c.code == code, tickets.c.valid, products.c.event_uid == event_uid)
            .distinct()
            .order_by(tickets.c.order_id)
        )
        return [OrderId(row["order_id"]) for row in await self.rows(found)]

    async def consumer(self, uid: str) -> KnownConsumer | None:
        """See `ConsumerReading.consumer`."""
        row = await self._one(select(consumers).where(consumers.c.uid == uid))
        return None if row is None else _consumer_of(row)

    async def consumers_listed(
        self, owner: ClientId, conditions: Sequence[Condition], *, offset: int, at_most: int
    ) -> Page[KnownConsumer]:
        """See `ConsumerLists.consumers_listed`."""
        met = (self._consumer_met(owner, one) for one in conditions)
        found = select(consumers).where(consumers.c.client_id == owner, *met)
        rows, total = await self._page(found.order_by(consumers.c.created_at, consumers.c.uid), offset, at_most)
        return Page(items=[_consumer_of(row) async for row in in_slices(rows)], total=total)

    async def orders_due(self, now: datetime, at_most: int) -> Sequence[OrderId]:
        """See `ExpiryReading.orders_due`."""
        due = (
            select(expiries.c.order_id)
            .join(orders, orders.c.id == expiries.c.order_id)
            .where(expiries.c.expires_at <= micros(now))
            .where(orders.c.contract.in_(list(self._kinds)), orders.c.state.in_(list(OrderState)))  # only known ones
        )
        rows = await self.rows(due.order_by(expiries.c.expires_at, expiries.c.order_id).limit(at_most))
        return [OrderId(row["order_id"]) for row in rows]

    # writing

    async def insert_consumer(self, consumer: KnownConsumer, *, revises: KnownConsumer | None = None) -> None:
        """See `ConsumerWriting.insert_consumer`."""
        document = encoded_document(consumer.details or Consumer())
        if revises is not None and revises.details is not None and consumer.details is not None:
            (row,) = await self.rows(select(consumers.c.details).where(consumers.c.uid == revises.uid))
            document = changed_document(row["details"], revises.details, consumer.details)
        await self._execute(
            insert(consumers).values(
                uid=consumer.uid,
                client_id=consumer.client_id,
                created_at=micros(consumer.created_at),
                details=document,
            )
        )

    async def expire_at(self, order_id: OrderId, expires_at: datetime) -> None:
        """See `ExpiryWriting.expire_at`."""
        await self._execute(insert(expiries).values(order_id=order_id, expires_at=micros(expires_at)))

    async def forget_expiry(self, order_id: OrderId, due_at: datetime | None = None) -> bool:
        """See `ExpiryWriting.forget_expiry`."""
        forgotten = delete(expiries).where(expiries.c.order_id == order_id)
        if due_at is not None:
            forgotten = forgotten.where(expiries.c.expires_at <= micros(due_at))
        return await self.run(forgotten) > 0

    async def withdraw_tickets(self, order_id: OrderId, uids: Sequence[str]) -> int:
        """See `TicketWithdrawal.withdraw_tickets`."""
        return await self.run(
            update(tickets)
            .where(tickets.c.order_id == order_id, tickets.c.uid.in_(uids), tickets.c.valid)
            .values(valid=False)
        )

    async def released_tickets(self, order_id: OrderId) -> Sequence[str]:
        """See `TicketRestoring.released_tickets`."""
        released = select(tickets.c.uid).where(tickets.c.order_id == order_id, tickets.c.released, ~tickets.c.valid)
        return [row["uid"] for row in await self.rows(released)]

    async def restore_tickets(self, order_id: OrderId) -> None:
        """See `TicketRestoring.restore_tickets`."""
        released = tickets.c.order_id == order_id, tickets.c.released
        await self._execute(update(tickets).where(*released).values(valid=True, released=None))

    async def change_details(self, order_id: OrderId, before: TicketOrderDetails, after: TicketOrderDetails) -> None:
        """See `TicketDetails.change_details`."""
        of_order = order_details.c.order_id == order_id
        (row,) = await self.rows(select(order_details.c.details).where(of_order).with_for_update())
        document = changed_document(row["details"], before, after)
        await self._execute(update(order_details).where(of_order).values(details=document))

    def _order_met(self, condition: Condition) -> ColumnElement[bool]:
        if condition.field == _EVENT:
            wanted = condition.value if isinstance(condition.value, tuple) else (condition.value,)
            return exists(
                select(1)
                .select_from(order_lines.join(products, products.c.uid == order_lines.c.product_uid))
                .where(order_lines.c.order_id == orders.c.id, products.c.event_uid.in_(wanted))
            )
        if condition.field == _TOTAL:
            total = func.coalesce(order_details.c.total_minor, self._number(_ORDERS[_TOTAL]))
            return compared(total, condition)
        return self._one_met(_ORDERS[condition.field], condition)

    def _consumer_met(self, owner: ClientId, condition: Condition) -> ColumnElement[bool]:
        if condition.field in _OF_CONSUMERS_ORDERS:
            return consumers.c.uid.in_(
                select(self._value(_CONSUMER_OF_ORDER))
                .select_from(order_details.join(orders, orders.c.id == order_details.c.order_id))
                .where(orders.c.client_id == owner, self._one_met(_OF_CONSUMERS_ORDERS[condition.field], condition))
            )
        if condition.field == _GENDER:
            return compared(self._number(_CONSUMERS[_GENDER]), condition)
        return self._one_met(_CONSUMERS[condition.field], condition)

    def _number(self, field: Field) -> ColumnElement[int]:
        """Return a whole number within a document. PostgreSQL returns it as text, SQLite as a number."""
        found = self._value(field)
        return case((found.regexp_match("^[0-9]{1,18}$"), cast(found, BigInteger))) if self._on_postgres else found


def _consumer_of(row: Row) -> KnownConsumer:
    return KnownConsumer(
        uid=row["uid"],
        client_id=ClientId(row["client_id"]),
        created_at=instant(row["created_at"]),
        details=decoded_consumer(row["details"]),
    )
