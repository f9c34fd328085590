"""How does an order look in an event for an application of the shopping contract?

Ours: the contract's pages do not say.
"""

import msgspec

from countermand.actions.ordering.views import OrderView
from countermand.contracts.shopping.hal import date_time


class TicketInEvent(msgspec.Struct, kw_only=True):
    """A ticket of the order, and whether it gives entry."""

    uid: str
    valid: bool


class OrderInEvent(msgspec.Struct, kw_only=True):
    """The order in its current state."""

    uid: str
    reference: str
    status: str
    created_date: str
    tickets: list[TicketInEvent]


def order_in_event(view: OrderView) -> OrderInEvent:
    """Return the order with its tickets, in the words of the contract's own order."""
    order = view.order
    assert order.uid is not None, "every ticket order has a uid"
    return OrderInEvent(
        uid=order.uid,
        reference=order.reference,
        status=order.state.value,
        created_date=date_time(order.created_at),
        tickets=[TicketInEvent(uid=one.uid, valid=view.admits(one)) for one in view.tickets],
    )
