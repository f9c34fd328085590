"""Says until when an order can be paid."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from countermand.actions.ordering.ports import ExpiryWriting
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import Order

# How long a new order of each contract can be paid. An order of another contract does not expire.
PaymentWindows = Mapping[ContractName, timedelta]


async def restart_window(tx: ExpiryWriting, order: Order, now: datetime, windows: PaymentWindows) -> None:
    """Let an order that is pending again expire as late as a new order."""
    await tx.forget_expiry(order.id)
    if (window := windows.get(order.contract)) is not None:
        await tx.expire_at(order.id, now + window)
