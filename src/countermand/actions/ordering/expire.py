"""Ends orders that were not paid in time. Their tickets and visits become free.

Each order that is due has a transaction of its own, which locks the order's row first. So a payment, a cancellation and
the expiry of one order run one after the other, and the first of them decides.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from countermand.actions.errors import CountermandError, HeldError, UnforeseenDatabaseError
from countermand.actions.ordering.ports import ExpiryReading, ExpiryWriting
from countermand.actions.ordering.record_progress import ProgressTransaction, advance_order
from countermand.actions.ports import Snapshots, Transactions
from countermand.domain.actor import Actor
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import Transition, state_after

log = structlog.get_logger()


class ExpiryTransaction(ProgressTransaction, ExpiryWriting, Protocol):
    """Implemented by a transaction in which an order can expire."""


class ExpiryStore(Snapshots[ExpiryReading], Transactions[ExpiryTransaction], Protocol):
    """Finds orders that are due, and lets them expire."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expired:
    """The result of one round: how many orders were due, and how many of them could not be ended and stay due."""

    due: int
    failed: int


async def expire_due(store: ExpiryStore, now: datetime, *, at_most: int) -> Expired:
    """Expire at most `at_most` orders that are due. Several nodes may do it at once.

    An order that cannot be ended now stays due, and the others do not wait for it.
    """
    async with store.snapshot() as reading:
        due = await reading.orders_due(now, at_most)
    failed = 0
    for order_id in due:
        try:
            async with store.transaction() as tx:
                await expire_order(tx, order_id, now)
        except HeldError:
            failed += 1
        except (CountermandError, UnforeseenDatabaseError) as error:
            failed += 1
            log.warning("an unpaid order stays for now", order_id=str(order_id), reason=str(error))
    return Expired(due=len(due), failed=failed)


async def expire_order(tx: ExpiryTransaction, order_id: OrderId, now: datetime) -> bool:
    """End an order that is due, unless it ended or was paid meanwhile; return whether the order was ended.

    An order that was paid in part is no longer due: the operator takes care of it. The events name the order's own
    client and no channel, because nobody requested the expiry.
    """
    order = await tx.lock_order(order_id)
    if order is not None and not order.is_known:  # it changed since it was found: a node that knows it will expire it
        return False
    # Since the order was found, the void of its payment may have given it another time limit.
    if not await tx.forget_expiry(order_id, now):
        return False
    if order is None or order.facts.first_payment_at is not None or state_after(order.state, Transition.EXPIRE) is None:
        return False
    await advance_order(tx, Actor(order.client_id), order_id, Transition.EXPIRE, now)
    return True
