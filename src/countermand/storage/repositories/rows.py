"""Converts rows to values of the domain and the actions, and values to rows. No type of a driver passes through."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, select

from countermand.actions.ordering.history import OutboxRecord
from countermand.actions.ordering.views import Line, OrderView, Ticket
from countermand.actions.slices import Slices, in_slices
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import (
    Appointment,
    AppointmentId,
    AppointmentState,
    HalfDay,
    Slot,
    SlotId,
)
from countermand.domain.client import Client, ClientId, Permission
from countermand.domain.contract import Channel, ContractName
from countermand.domain.instants import written_instant
from countermand.domain.known import Unknown, known
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId, OrderUid
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_kind import OrderKinds, kind_of
from countermand.domain.orders.payment import Payment
from countermand.domain.redirects import Redirects
from countermand.domain.ticketing.catalogue import Product
from countermand.storage.repositories.documents import decoded_details
from countermand.storage.repositories.facts import facts_of_order
from countermand.storage.sql_types import Column, Query, Row
from countermand.storage.tables.appointments import appointments
from countermand.storage.tables.catalogue import products
from countermand.storage.tables.columns import instant, instant_or_none, micros, micros_or_none
from countermand.storage.tables.orders import order_details, order_lines, orders
from countermand.storage.tables.tickets import tickets

_OF_EVERY_VERSION: Final = frozenset(
    {
        Permission.CREATE,
        Permission.READ,
        Permission.CANCEL,
        Permission.READ_ALL,
        Permission.RECORD,
        Permission.ADMINISTER,
    }
)


def written(document: Mapping[str, object]) -> str:
    """A JSON document for a text column; instants as the wire has them."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=_said)


def _said(value: object) -> str:
    if isinstance(value, datetime):
        return written_instant(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def order_of(row: Row, kinds: OrderKinds) -> Order:
    """Return an order from its row, joined with the row of its details.

    `kinds` gives the order's kind by its contract. The kind is unknown if this node does not have the contract.
    """
    contract = ContractName(row["contract"])
    return Order(
        id=OrderId(row["id"]),
        contract=contract,
        kind=kind_of(contract, kinds),
        uid=None if row["uid"] is None else OrderUid(row["uid"]),
        reference=row["reference"],
        client_id=ClientId(row["client_id"]),
        version=row["version"],
        created_at=instant(row["created_at"]),
        facts=facts_of_order(row),
    )


def appointment_of(row: Row) -> Appointment:
    """Return an appointment from its row."""
    starts_at, ends_at = instant(row["starts_at"]), instant(row["ends_at"])
    slot = None
    if row["slot_id"] is not None:
        slot = Slot(
            id=SlotId(row["slot_id"]),
            starts_at=starts_at,
            ends_at=ends_at,
            half_day=known(HalfDay, row["half_day"]),
            utc_offset=timedelta(seconds=row["utc_offset_s"]),
        )
    return Appointment(
        id=AppointmentId(row["id"]),
        state=known(AppointmentState, row["state"]),
        starts_at=starts_at,
        ends_at=ends_at,
        cancelled_at=instant_or_none(row["cancelled_at"]),
        slot=slot,
        remote_id=row["remote_id"],
        cancelled_from=None if row["cancelled_from"] is None else known(AppointmentState, row["cancelled_from"]),
    )


def appointment_columns(order_id: OrderId, appointment: Appointment) -> dict[str, object]:
    """The same as columns."""
    slot = appointment.slot
    return {
        "order_id": order_id,
        "id": appointment.id,
        "state": appointment.state.value,
        "starts_at": micros(appointment.starts_at),
        "ends_at": micros(appointment.ends_at),
        "cancelled_at": micros_or_none(appointment.cancelled_at),
        "slot_id": None if slot is None else slot.id,
        "half_day": None if slot is None else slot.half_day.value,
        "utc_offset_s": None if slot is None else slot.utc_offset // timedelta(seconds=1),
        "remote_id": appointment.remote_id,
        "cancelled_from": None if appointment.cancelled_from is None else appointment.cancelled_from.value,
    }


def payment_of(row: Row) -> Payment:
    """Return a payment from its row, with the amount as it was reported."""
    reported = row["amount_minor"] if row["recorded_minor"] is None else row["recorded_minor"]
    return Payment(
        reference=row["reference"],
        money=Money(minor=reported, currency=row["currency"]),
        recorded_at=instant(row["recorded_at"]),
        is_late=bool(row["is_late"]),
        voided_at=instant_or_none(row["voided_at"]),
    )


SHOWN_OF_PRODUCTS: Final = (
    "uid",
    "name",
    "price_minor",
    "service_costs_minor",
    "currency",
    "availability",
    "total_availability",
)


def product_of(row: Row) -> Product:
    """Return a product as an order shows it, without the fields that only the catalogue shows."""
    return Product(
        uid=row["uid"],
        name=msgspec.json.decode(row["name"]),
        price=Money(minor=row["price_minor"], currency=row["currency"]),
        service_costs=Money(minor=row["service_costs_minor"], currency=row["currency"]),
        availability=row["availability"],
        total_availability=row["total_availability"],
    )


def client_of(row: Row) -> Client:
    """Return a client from its row, without the hash of its secret."""
    return Client(
        id=ClientId(row["id"]),
        channel=Channel(row["door"]),
        name=row["name"],
        permissions=permissions_of(row),
        key=row["key"],
        identity=None if row["issuer"] is None else (row["issuer"], row["subject"]),
        created_at=instant(row["created_at"]),
        revoked_at=instant_or_none(row["revoked_at"]),
        previous_secret_until=instant_or_none(row["previous_secret_until"]),
        last_used_at=instant_or_none(row["last_used_at"]),
        redirects=Redirects(url=row["redirect_url"], schemes=tuple((row["redirect_schemes"] or "").split())),
    )


def permissions_of(row: Row) -> frozenset[Permission | Unknown]:
    """Return the permissions in the row of a client."""
    more = row["more_permissions"]
    named = msgspec.json.decode(row["permissions"]) + ([] if more is None else msgspec.json.decode(more))
    return frozenset(known(Permission, one) for one in named)


def permission_columns(permissions: Iterable[Permission]) -> dict[str, str | None]:
    """Return the columns of a client's permissions.

    Nodes for schema 7 and older answer 500 to a client with a permission that they do not know, so the permissions of
    later versions stand in a column that they do not read.
    """
    later = sorted(one for one in permissions if one not in _OF_EVERY_VERSION)
    return {
        "permissions": json.dumps(sorted(one for one in permissions if one in _OF_EVERY_VERSION)),
        "more_permissions": json.dumps(later) if later else None,
    }


def outbox_record_of(row: Row) -> OutboxRecord:
    """Return an outbox record from its row."""
    return OutboxRecord(
        kind=known(OrderEventKind, row["kind"]),
        order_version=row["order_version"],
        recorded_at=instant(row["recorded_at"]),
        actor=actor_of(row, row["channel"]),
        details=msgspec.json.decode(row["details"]),
        delivered_at=instant_or_none(row["delivered_at"]),
    )


def actor_of(row: Row, channel: str | None, *, prefix: str = "") -> Actor:
    """Return who did what a row records, over this channel. An older node wrote no channel of an event.

    The names of the columns begin with `prefix`.
    """
    client_id, *who = (row[prefix + name] for name in ("client_id", "staff_id", "acting_as", "address"))
    return Actor(ClientId(client_id), None if channel is None else Channel(channel), *who)


def actor_columns(actor: Actor, channel: str = "channel", *, prefix: str = "") -> dict[str, object]:
    """The same as columns. `channel` is the name of the channel's column: `door` in a decision record."""
    return {
        prefix + "client_id": actor.client_id,
        prefix + channel: actor.channel,
        prefix + "staff_id": actor.staff_id,
        prefix + "acting_as": actor.acting_as,
        prefix + "address": actor.address,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewRows:
    """The rows of some orders, with the rows of everything that a contract shows of an order.

    `views` can be called once.
    """

    orders: Sequence[Row]
    appointments: Sequence[Row]
    lines: Sequence[Row]
    tickets: Sequence[Row]
    products: Sequence[Row]

    async def views(self, kinds: OrderKinds) -> dict[OrderId, OrderView]:
        """Return the view of each order. Many orders are converted in slices."""
        of_order: dict[str, dict[int, list[Row]]] = {
            name: await _grouped(getattr(self, name)) for name in ("appointments", "lines", "tickets")
        }
        products = {row["uid"]: product_of(row) async for row in in_slices(self.products)}
        views = {}
        slices = Slices()
        for row in self.orders:
            order = order_of(row, kinds)
            lines = tuple(
                Line(product_uid=line["product_uid"], quantity=line["quantity"], parent_uid=line["parent_uid"])
                for line in of_order["lines"].pop(order.id, ())
            )
            views[order.id] = OrderView(
                order=order,
                details=decoded_details(order.kind, row["details"]),
                appointments=tuple(appointment_of(r) for r in of_order["appointments"].pop(order.id, ())),
                lines=lines,
                products=tuple({line.product_uid: products[line.product_uid] for line in lines}.values()),
                tickets=tuple(
                    Ticket(uid=r["uid"], product_uid=r["product_uid"], code=r["code"], valid=bool(r["valid"]))
                    for r in of_order["tickets"].pop(order.id, ())
                ),
            )
            await slices.pause()
        return views


def view_queries(member: Callable[[Column], ColumnElement[bool]]) -> dict[str, Query]:
    """The reads behind `ViewRows`, by field, for the orders whose number is a `member` of what was asked."""
    of_lines = select(order_lines.c.product_uid).where(member(order_lines.c.order_id))
    return {
        "orders": orders_named().add_columns(order_details.c.details).where(member(orders.c.id)),
        "appointments": select(appointments).where(member(appointments.c.order_id)).order_by(appointments.c.id),
        "lines": select(order_lines)
        .where(member(order_lines.c.order_id))
        .order_by(order_lines.c.order_id, order_lines.c.line),
        "tickets": select(tickets).where(member(tickets.c.order_id)).order_by(tickets.c.order_id, tickets.c.number),
        "products": select(*(products.c[name] for name in SHOWN_OF_PRODUCTS)).where(products.c.uid.in_(of_lines)),
    }


def orders_named() -> Query:
    """Orders with what they are called."""
    return select(orders, order_details.c.uid, order_details.c.reference).join(
        order_details, order_details.c.order_id == orders.c.id
    )


def order_named(order_id: ColumnElement[int]) -> Query:
    """One order with what it is called."""
    return orders_named().where(orders.c.id == order_id)


async def _grouped(rows: Sequence[Row]) -> dict[int, list[Row]]:
    grouped: dict[int, list[Row]] = defaultdict(list)
    async for row in in_slices(rows):
        grouped[row["order_id"]].append(row)
    if isinstance(rows, list):
        rows.clear()  # so that the rows of an order are freed with its slice, and not all at once
    return grouped
