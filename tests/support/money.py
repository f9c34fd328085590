"""Records payments and what answers them, through the same actions as every request."""

from datetime import timedelta
from typing import Any, Final

from countermand.actions.ordering.correct_payments import assign_late_money, charge_back, refund, void_payment
from countermand.actions.ordering.fail_refund import fail_refund
from countermand.actions.ordering.record_progress import RecordedPayment, record_payment
from countermand.domain.actor import Actor
from countermand.domain.client import COMMAND_LINE
from countermand.domain.contract import MANAGE
from countermand.domain.money import Money
from countermand.domain.orders.balance import Balance, balances_of
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.payment_correction import Correction, CorrectionKind, RefundState
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


async def pay_back(world: World, order_id: OrderId, reference: str, money: Money, reason: str = "sold out") -> Order:
    async with world.database.store.transaction() as tx:
        return await refund(tx, _FINANCE, order_id, reference, money, reason, world.clock())


async def bounce(world: World, order_id: OrderId, reference: str, reason: str = "account closed") -> Order:
    async with world.database.store.transaction() as tx:
        return await fail_refund(tx, _FINANCE, order_id, reference, reason, world.clock())


async def take_back(world: World, order_id: OrderId, reference: str, money: Money, reason: str = "disputed") -> Order:
    async with world.database.store.transaction() as tx:
        return await charge_back(tx, _FINANCE, order_id, reference, money, reason, world.clock())


async def assign(world: World, order_id: OrderId, reference: str, to: OrderId, reason: str = "the other's") -> Order:
    async with world.database.store.transaction() as tx:
        now = world.clock()
        return await assign_late_money(tx, _FINANCE, order_id, reference, to, reason, now, windows=WINDOWS)


async def owe(
    world: World,
    order_id: OrderId,
    money: Money,
    state: RefundState = RefundState.DUE,
    *,
    reason: str = "called off",
) -> None:
    """Write that money must be paid back."""
    async with world.database.store.transaction() as tx:
        number = len(await tx.corrections_of(order_id)) + 1
        due = Correction(
            number=number,
            kind=CorrectionKind.REFUND,
            money=money,
            reason=reason,
            recorded_at=world.clock(),
            actor=_FINANCE,
            state=state,
        )
        await tx.insert_correction(order_id, due)


async def balance(world: World, order_id: OrderId, currency: str = "EUR") -> Balance:
    async with world.database.store.snapshot() as reading:
        found = balances_of(await reading.payments_of(order_id), await reading.corrections_of(order_id))
    return found.get(currency, Balance())


async def row_of(world: World, order_id: OrderId) -> dict[str, Any]:
    (row,) = await world.rows("orders", order_id)
    return row
