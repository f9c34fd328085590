"""Read an order: for its own client as the contract shows it, for the operator with everything that happened to it."""

from countermand.actions.errors import NotFoundError
from countermand.actions.ports import History, OrderView, Store
from countermand.domain.client import ClientId
from countermand.domain.order import OrderId


async def read_order(store: Store, order_id: OrderId, *, owner: ClientId) -> OrderView:
    """A client's own order. Another's is as unknown as one that is not there: both raise `NotFoundError`."""
    async with store.snapshot() as reading:
        view = (await reading.views([order_id])).get(order_id)
    if view is None or view.order.client_id != owner:
        raise NotFoundError("there is no such order")
    return view


async def read_history(store: Store, order_id: OrderId) -> tuple[OrderView, History]:
    """Any order, with its history. Raises `NotFoundError`."""
    async with store.snapshot() as reading:
        view = (await reading.views([order_id])).get(order_id)
        if view is None:
            raise NotFoundError("there is no such order")
        return view, await reading.history(order_id)
