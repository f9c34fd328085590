"""Undoes cancellations, through the same action as every request."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from countermand.actions.appointments.booking_backends import Calendar
from countermand.actions.cancelling.restore import UndoTerms, restore_order
from countermand.domain.orders.order import Order, OrderId
from support.money import WINDOWS
from support.overrides import AUTHOR
from support.world import World

UNDO_WINDOW: Final = timedelta(minutes=10)
TERMS: Final = UndoTerms(
    window=UNDO_WINDOW, clients_own=False, payable=WINDOWS, bookings=Calendar(no_return=timedelta())
)


async def restore(world: World, order_id: OrderId, reason: str = "the wrong order", **terms: Any) -> Order:
    async with world.database.store.transaction() as tx:
        return await restore_order(tx, AUTHOR, order_id, reason, world.clock(), terms=replace(TERMS, **terms))
