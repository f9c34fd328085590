"""Adds a new order of either kind to the database, with its first event and everything that it takes."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from countermand.actions.catalogue.ports import Reserved
from countermand.actions.errors import OrderTakenError, number_taken
from countermand.actions.ordering.new_order import NewOrder
from countermand.actions.ordering.ports import OrderInsertion
from countermand.actions.ordering.views import OrderView
from countermand.domain.actor import Actor
from countermand.domain.contract import channel_of
from countermand.domain.orders.order_events import order_placed


async def insert_with_event(
    tx: OrderInsertion,
    view: OrderView,
    now: datetime,
    *,
    expires_at: datetime | None = None,
    vouchers: Sequence[str] = (),
    places: Mapping[str, int] | None = None,
) -> Reserved:
    """Add an order and its event, and take its places off the stock. For the rest, see `NewOrder`.

    Raises `UnavailableError` if the order's number is taken; or the commit raises `OrderTakenError`.
    """
    new = NewOrder(
        view=view,
        actor=Actor(view.order.client_id, channel_of(view.order.contract)),
        events=[order_placed(view.order.state)],
        now=now,
        expires_at=expires_at,
        vouchers=vouchers,
        places=places or {},
    )
    try:
        return await tx.insert_order(new)
    except OrderTakenError as error:
        raise number_taken() from error
