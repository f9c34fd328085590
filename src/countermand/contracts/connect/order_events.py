"""An order in an event, as a partner of the connect contract sees it (ours: no page of the contract says it)."""

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
    """The order as it stands."""

    id: int
    status: str
    created_on: datetime
    appointments: list[AppointmentInEvent]


def order_in_event(view: OrderView) -> OrderInEvent:
    """The order with its appointments, in the words of the contract's own order."""
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
