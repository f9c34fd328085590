"""Records payments and what answers them, through the same actions as every request."""

from datetime import timedelta
from typing import Any, Final

from countermand.actions.ordering.correct_payments import void_payment
from countermand.actions.ordering.record_progress import RecordedPayment, record_payment
from countermand.domain.actor import Actor
from countermand.domain.client import COMMAND_LINE
from countermand.domain.contract import MANAGE
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderId
from support.contracts import SHOPPING
from support.world import World

WINDOW: Final = timedelta(hours=1)
WINDOWS: Final = {SHOPPING.name: WINDOW}
_FINANCE: Final = Actor(COMMAND_LINE, MANAGE)


def euros(minor: int) -> Money:
    return Money(minor=minor, currency="EUR")


async def pay(world: World, order_id: OrderId, reference: str, money: Money) -> RecordedPayment:
    async with world.database.store.transaction() as tx:
        return await record_payment(tx, _FINANCE, order_id, reference, money, world.clock())


async def void(world: World, order_id: OrderId, reference: str, reason: str = "mistyped") -> Order:
    async with world.database.store.transaction() as tx:
        return await void_payment(tx, _FINANCE, order_id, reference, reason, world.clock(), windows=WINDOWS)


async def row_of(world: World, order_id: OrderId) -> dict[str, Any]:
    (row,) = await world.rows("orders", order_id)
    return row
