"""The dialect `connect`: webhooks as the contract publishes them.

The body is the resource itself, with the fields of the event beside its own. Headers name the event. Documented:
`appointment.cancelled.event` and `order.rejected.event`, with their fields. Inferred: `order.cancelled.event` (connect
decision 40). No page supports a name for other events, so this dialect does not say them (connect decision 41).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from countermand.actions.delivering.dialects import Dialect, EventToSend, RenderedEvent, ShownOrder
from countermand.contracts.connect.appointments import APPOINTMENTS
from countermand.contracts.connect.contract import NAME
from countermand.contracts.connect.messages import Appointment
from countermand.contracts.connect.translate import seconds
from countermand.contracts.http.answer import JSON
from countermand.contracts.http.resource_fields import fields_of
from countermand.domain.delivering.endpoint import EndpointEventKind, Subscription
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_state import OrderState

# The event of each kind, without the endings `.event` and `.notification`. The part before the dot is the model.
_EVENTS: Final[Mapping[str, str]] = {
    OrderEventKind.ORDER_CANCELLED: "order.cancelled",
    OrderEventKind.ORDER_ADVANCED: "order.rejected",
    OrderEventKind.APPOINTMENT_CANCELLED: "appointment.cancelled",
    EndpointEventKind.TEST: "endpoint.test",  # ours: a partner tries an endpoint with it
}
# Names in alphabetical order, so that the bytes depend on the content alone.
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


def _says(kind: str, details: Mapping[str, object]) -> bool:
    """Return whether there are words for an event: of the moves of an order, the contract knows the rejection."""
    is_move = kind == OrderEventKind.ORDER_ADVANCED
    return kind in _EVENTS and (not is_move or details.get("to") == OrderState.REJECTED)


def _render(event: EventToSend, subscription: Subscription) -> RenderedEvent:
    name = _EVENTS[event.kind]
    headers = (
        ("z-event-type", f"{name}.event"),
        ("z-notification-type", f"{name}.notification"),
        ("z-notification-model", name.partition(".")[0]),
    )
    body = _ENCODER.encode(_payload(event, thin=subscription.thin))
    return RenderedEvent(body=body, content_type=JSON, headers=headers)


def _payload(event: EventToSend, *, thin: bool) -> Mapping[str, object]:
    if event.order is None:
        return event.details
    assert event.shown is not None, "a node with this dialect has the contract"
    at = seconds(event.recorded_at)
    if event.kind == OrderEventKind.APPOINTMENT_CANCELLED:
        return {**_appointment(event, event.shown, thin=thin), "cancelledOn": at}
    order = event.shown.link if thin else event.shown.whole
    return {**order, **_of_order_event(event.kind, at)}


def _of_order_event(kind: str, at: datetime) -> Mapping[str, object]:
    """Return the fields that an event adds to the order. Nobody says why an order was rejected: no `rejectedReason`."""
    return {"cancelledOn" if kind == OrderEventKind.ORDER_CANCELLED else "rejectedOn": at}


def _appointment(event: EventToSend, order: ShownOrder, *, thin: bool) -> Mapping[str, object]:
    """Return the appointment resource, or a link to it."""
    number = event.details["appointment_id"]
    appointments = order.whole["appointments"]
    assert isinstance(appointments, list)
    found = [one for one in appointments if isinstance(one, Appointment) and one.id == number]
    if found and not thin:
        return fields_of(found[0])
    return {"id": number, "orderId": order.link["id"], "href": f"{event.source}{APPOINTMENTS}/{number}"}


DIALECT: Final = Dialect(
    name=NAME,
    about="The connect contract's own webhooks: the order or the appointment, with headers that name the event",
    kinds=frozenset(_EVENTS),
    says=_says,
    render=_render,
    contract=NAME,
    has_thin=False,
)
