"""Reads orders: for clients as their contract shows them, for the operator with everything that happened to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from countermand.actions.appointments.ports import AppointmentReading
from countermand.actions.catalogue.ports import Condition, Page
from countermand.actions.errors import NotFoundError
from countermand.actions.ordering.history import History
from countermand.actions.ordering.ports import OrderLists, OrderReading, OrdersWanted, OrderViews
from countermand.actions.ordering.views import OrderView
from countermand.actions.ordering.visibility import is_shown, is_visible
from countermand.actions.ports import Snapshots
from countermand.domain.appointments.appointment import AppointmentId
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import Order, OrderId


class AppointmentOrders(AppointmentReading, OrderReading, Protocol):
    """Reads appointments and their orders."""


async def read_order(
    store: OrderViews, order_id: OrderId, *, contract: ContractName, owner: ClientId | None
) -> OrderView:
    """Return an order of the contract: one of `owner`, or, without an `owner`, one of any client.

    Raises `NotFoundError`, also for an order of another client or of another contract.
    """
    view = (await store.views([order_id])).get(order_id)
    if view is None or not is_visible(view, contract, owner):
        raise NotFoundError("there is no such order")
    return view


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderList:
    """Some of a client's orders. If there are more, `last` is the order after which the next page begins."""

    items: Sequence[OrderView]
    last: Order | None


async def list_orders(store: Snapshots[OrderLists], owner: ClientId, wanted: OrdersWanted, at_most: int) -> OrderList:
    """Return a client's own orders, newest first.

    A page with orders that this node cannot show is shorter than `at_most`, but it is not the end of the list.
    """
    async with store.snapshot() as reading:
        order_ids = await reading.orders_of(owner, wanted, at_most + 1)
        views = await reading.views(order_ids[:at_most])
    page = [views[order_id] for order_id in order_ids[:at_most]]
    last = page[-1].order if len(order_ids) > at_most else None
    return OrderList(items=[view for view in page if is_shown(view)], last=last)


async def list_orders_without_details(
    store: Snapshots[OrderLists], owner: ClientId, wanted: OrdersWanted, at_most: int
) -> Sequence[Order]:
    """Return a client's own orders as their rows have them, newest first, for a caller that shows no details."""
    async with store.snapshot() as reading:
        order_ids = await reading.orders_of(owner, wanted, at_most)
        found = await reading.orders(order_ids)
    return [found[order_id] for order_id in order_ids]


async def list_ticket_orders(
    store: Snapshots[OrderLists],
    contract: ContractName,
    owner: ClientId | None,
    conditions: Sequence[Condition],
    *,
    offset: int,
    at_most: int,
) -> Page[OrderView]:
    """Return a page of a contract's ticket orders that meet all conditions, newest first: of `owner`, or of all."""
    async with store.snapshot() as reading:
        found = await reading.orders_listed(contract, owner, conditions, offset=offset, at_most=at_most)
        views = await reading.views(found.items)
    shown = [views[order_id] for order_id in found.items if is_shown(views[order_id])]
    return Page(items=shown, total=found.total)


async def read_appointment(
    store: Snapshots[AppointmentOrders], appointment_id: AppointmentId, *, owner: ClientId
) -> OrderView:
    """Return the order that an appointment is for, if it is the client's own. Raises `NotFoundError`."""
    async with store.snapshot() as reading:
        order_id = await reading.order_of_appointment(appointment_id)
        views = {} if order_id is None else await reading.views([order_id])
    for view in views.values():
        if view.order.client_id == owner and is_shown(view):
            return view
    raise NotFoundError("there is no such appointment")


async def read_history(store: Snapshots[OrderReading], order_id: OrderId) -> tuple[OrderView, History]:
    """Return any order, with its history. Raises `NotFoundError`."""
    async with store.snapshot() as reading:
        view = (await reading.views([order_id])).get(order_id)
        if view is None:
            raise NotFoundError("there is no such order")
        return view, await reading.history(order_id)
