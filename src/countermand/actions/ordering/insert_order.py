"""Adds a new order of either kind to the database, and its first event to the outbox."""

from datetime import datetime

from countermand.actions.errors import OrderTakenError, UnavailableError
from countermand.actions.ordering.ports import OrderInsertion
from countermand.actions.ordering.views import OrderView
from countermand.domain.actor import Actor
from countermand.domain.contract import channel_of
from countermand.domain.orders.order_events import order_placed


async def insert_with_event(tx: OrderInsertion, view: OrderView, now: datetime) -> OrderView:
    """Add an order and its event, and return the order. Raises `UnavailableError` if its number is taken."""
    try:
        await tx.insert_order(view)
    except OrderTakenError as error:
        raise UnavailableError(
            "the number made for the order is taken; the order was not placed; send the request again"
        ) from error
    actor = Actor(view.order.client_id, channel_of(view.order.contract))
    await tx.append_events(view.order, actor, [order_placed(view.order.state)], now)
    return view
