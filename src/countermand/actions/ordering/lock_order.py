"""Locks an order's row.

Every action that can change an answer locks first, and only then reads, writes and raises the version.
"""

from countermand.actions.errors import NotFoundError
from countermand.actions.ordering.ports import OrderToPay
from countermand.actions.ports import Transaction, check_known
from countermand.domain.client import ClientId
from countermand.domain.orders.order import Order, OrderId


async def locked(tx: Transaction, order_id: OrderId, *, owner: ClientId | None = None) -> Order:
    """Lock an order and return it. Raises `NotFoundError`; with an `owner`, also for another client's order.

    Raises `UnavailableError` for an order that this version does not know, because every change decides over the order.
    """
    order = await tx.lock_order(order_id)
    if order is None or owner not in {None, order.client_id}:
        raise NotFoundError("there is no such order")
    check_known(order)
    return order


async def locked_to_pay(tx: Transaction, order_id: OrderId) -> OrderToPay:
    """Lock an order that money came in for, and return it with its total. Raises as `locked` does."""
    to_pay = await tx.lock_order_to_pay(order_id)
    if to_pay is None:
        raise NotFoundError("there is no such order")
    check_known(to_pay.order)
    return to_pay
