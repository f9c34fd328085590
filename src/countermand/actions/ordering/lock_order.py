"""Locks an order's row. Every change of an order does this first, and then reads, writes and raises its version."""

from countermand.actions.errors import NotFoundError, UnavailableError
from countermand.actions.ordering.ports import OrderLock, OrderToPay, PaymentWriting
from countermand.actions.ordering.visibility import check_known
from countermand.domain.client import ClientId
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId


async def locked(tx: OrderLock, order_id: OrderId, *, owner: ClientId | None = None) -> Order:
    """Lock an order and return it. Raises `NotFoundError`, also for an order of another client than `owner`, if given.

    Raises `UnavailableError` for an order that this version does not know, because it could not decide about it.
    """
    order = await tx.lock_order(order_id)
    if order is None or owner not in {None, order.client_id}:
        raise NotFoundError("there is no such order")
    check_known(order)
    return order


async def locked_to_pay(tx: PaymentWriting, order_id: OrderId) -> OrderToPay:
    """Lock an order for which money came in, and return it with its total. Raises as `locked` does."""
    to_pay = await tx.lock_order_to_pay(order_id)
    if to_pay is None:
        raise NotFoundError("there is no such order")
    check_known(to_pay.order)
    return to_pay


def known_total(to_pay: OrderToPay) -> Money:
    """Return the total of a locked ticket order. Raises `UnavailableError` if the total cannot be read here."""
    if to_pay.total is None:
        said = "a newer version than this node's wrote the total of the order"
        raise UnavailableError(f"{said}; nothing was done; send the request again, or to another node")
    return to_pay.total
