"""Finds out what completed an order: a payment, or a move."""

from collections.abc import Iterable

from countermand.actions.ordering.history import OutboxRecord
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_state import OrderState


def is_completed_by_move(events: Iterable[OutboxRecord]) -> bool:
    """Return whether a move completed the order last, and no payment.

    A payment that completes an order raises its version once, for both events. If the event of the completion is
    deleted, the answer is no: nearly every order is completed by its payments.
    """
    told = list(events)
    completed = (one for one in told if one.kind is OrderEventKind.ORDER_ADVANCED)
    versions = [one.order_version for one in completed if one.details.get("to") == OrderState.COMPLETED]
    paid = {one.order_version for one in told if one.kind is OrderEventKind.PAYMENT_RECORDED}
    return bool(versions) and max(versions) not in paid
