"""How does an order look in an event for a partner of the connect contract? Ours: the contract's pages do not say."""

from datetime import datetime

import msgspec

from countermand.actions.ordering.views import OrderView
from countermand.contracts.connect.translate import seconds


class AppointmentInEvent(msgspec.Struct, kw_only=True, rename="camel"):
    """An appointment of the order. Instants are to the second."""

    id: int
    status: str
    start_time: datetime
    end_time: datetime


class OrderInEvent(msgspec.Struct, kw_only=True, rename="camel"):
    """The order in its current state."""

    id: int
    status: str
    created_on: datetime
    appointments: list[AppointmentInEvent]


def order_in_event(view: OrderView) -> OrderInEvent:
    """Return the order with its appointments, in the words of the contract's own order."""
    return OrderInEvent(
        id=view.order.id,
        status=view.order.state.value,
        created_on=seconds(view.order.created_at),
        appointments=[
            AppointmentInEvent(
                id=one.id, status=one.state.value, start_time=seconds(one.starts_at), end_time=seconds(one.ends_at)
            )
            for one in view.appointments
        ],
    )
