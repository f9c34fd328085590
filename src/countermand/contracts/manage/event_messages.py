"""What do the details of each kind of event say? A struct for each kind, with the version of its shape.

A struct that changes gets the next version: a test compares each schema with the digest that is kept for its version.
Details that an older version wrote decode, too: a field that they lack has a default.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Struct, field

from countermand.contracts.http.answer import JsonObject
from countermand.domain.delivering.endpoint import EndpointEventKind
from countermand.domain.orders.order_events import OrderEventKind

_State = Annotated[str, Meta(description="A state of the order")]
_VisitState = Annotated[str, Meta(description="A state of the appointment")]
_Reason = Annotated[str, Meta(description="Why, in the words of the person or system that asked for it")]
_Reference = Annotated[str, Meta(description="The reference of the payment or refund, as its provider has it")]


class EventDetails(Struct, kw_only=True, forbid_unknown_fields=True):
    """The details of an event. A field that this version does not know means that a newer version wrote it."""

    version: ClassVar[int] = 1


class OrderPlaced(EventDetails):
    """An order was placed."""

    state: _State


class OrderAdvanced(EventDetails):
    """An order's state changed, other than by a cancellation or an expiry."""

    before: _State = field(name="from")
    to: _State


class OrderExpired(EventDetails):
    """An order was not paid in time. Older versions told this as an `order.advanced` to `expired`."""

    before: _State = field(name="from")


class OrderCancelled(EventDetails):
    """An order was cancelled."""

    before: _State = field(name="from")
    reason: _Reason | None = None
    approved_by: Annotated[str, Meta(description="The second person, if the cancellation needed one")] | None = None


class OrderRestored(EventDetails):
    """The cancellation of an order was undone."""

    before: _State = field(name="from")
    to: _State
    reason: _Reason


class AppointmentDetails(EventDetails):
    """What every event about a visit says."""

    appointment_id: Annotated[int, Meta(description="The number of the appointment")]
    starts_at: Annotated[datetime, Meta(description="When the visit starts")]
    ends_at: Annotated[datetime, Meta(description="When the visit ends")]


class AppointmentSet(AppointmentDetails):
    """A visit was agreed."""


class AppointmentMoved(AppointmentDetails):
    """A visit was moved. The event has the new times and the old start."""

    before: Annotated[datetime, Meta(description="When the visit would have started")] = field(name="from")


class AppointmentAdvanced(AppointmentDetails):
    """A visit began, or ended with or without success."""

    before: _VisitState = field(name="from")
    to: _VisitState


class AppointmentCancelled(AppointmentDetails):
    """A visit will not take place: it was cancelled itself, or its order ended."""


class MoneyDetails(EventDetails):
    """What every event about a payment or refund says."""

    reference: _Reference
    amount_minor: Annotated[int, Meta(description="The amount in the smallest unit of the currency")]
    currency: Annotated[str, Meta(description="The currency's code (ISO 4217)")]


class PaymentRecorded(MoneyDetails):
    """A payment was recorded."""


class PaymentLate(MoneyDetails):
    """Money came too late: the order had ended."""


class PaymentVoided(MoneyDetails):
    """A payment never happened."""

    reason: _Reason


class PaymentRefunded(MoneyDetails):
    """Money was paid back."""

    reason: _Reason


class PaymentChargedBack(MoneyDetails):
    """The payer's bank has taken money back."""

    reason: _Reason


class RefundFailed(MoneyDetails):
    """Money that was paid back came back, and must be paid back again."""

    reason: _Reason


class AmountDue(Struct, kw_only=True, forbid_unknown_fields=True):
    """An amount in one currency."""

    amount_minor: Annotated[int, Meta(description="The amount in the smallest unit of the currency")]
    currency: Annotated[str, Meta(description="The currency's code (ISO 4217)")]


class RefundDue(EventDetails):
    """The end of an order left money that must be paid back."""

    amounts: Annotated[list[AmountDue], Meta(description="An amount for each currency")]
    reason: _Reason | None = None


class EndpointDetails(EventDetails):
    """What every event about an endpoint says."""

    endpoint: Annotated[str, Meta(description="The id of the endpoint")]
    url: Annotated[str, Meta(description="Where its events are sent")]


class EndpointFailing(EndpointDetails):
    """An endpoint has had no success for some time or many attempts."""

    since: Annotated[datetime, Meta(description="When the first of the failed attempts was made")]


class EndpointPaused(EndpointDetails):
    """An endpoint gets nothing more until it is resumed. Its events are kept."""

    reason: Annotated[str, Meta(description="Why it was paused")]
    since: (
        Annotated[
            datetime, Meta(description="When the first of the failed attempts was made, if it was paused for them")
        ]
        | None
    ) = None


class EndpointResumed(EndpointDetails):
    """An endpoint gets events again, and all that was kept for it."""

    since: Annotated[datetime, Meta(description="Since when it was paused")]


class EndpointTest(EndpointDetails):
    """The operator tries an endpoint. No order is concerned."""


DETAILS: Final[Mapping[OrderEventKind | EndpointEventKind, type[EventDetails]]] = {
    OrderEventKind.ORDER_PLACED: OrderPlaced,
    OrderEventKind.ORDER_ADVANCED: OrderAdvanced,
    OrderEventKind.ORDER_EXPIRED: OrderExpired,
    OrderEventKind.ORDER_CANCELLED: OrderCancelled,
    OrderEventKind.ORDER_RESTORED: OrderRestored,
    OrderEventKind.APPOINTMENT_SET: AppointmentSet,
    OrderEventKind.APPOINTMENT_MOVED: AppointmentMoved,
    OrderEventKind.APPOINTMENT_ADVANCED: AppointmentAdvanced,
    OrderEventKind.APPOINTMENT_CANCELLED: AppointmentCancelled,
    OrderEventKind.PAYMENT_RECORDED: PaymentRecorded,
    OrderEventKind.LATE_MONEY_RECEIVED: PaymentLate,
    OrderEventKind.PAYMENT_VOIDED: PaymentVoided,
    OrderEventKind.PAYMENT_REFUNDED: PaymentRefunded,
    OrderEventKind.PAYMENT_CHARGED_BACK: PaymentChargedBack,
    OrderEventKind.REFUND_DUE: RefundDue,
    OrderEventKind.REFUND_FAILED: RefundFailed,
    EndpointEventKind.FAILING: EndpointFailing,
    EndpointEventKind.PAUSED: EndpointPaused,
    EndpointEventKind.RESUMED: EndpointResumed,
    EndpointEventKind.TEST: EndpointTest,
}


class Event(Struct, kw_only=True):
    """An event, with its place in the feed."""

    position: Annotated[str, Meta(description="The event's place in the feed, for the parameter after")]
    id: Annotated[str, Meta(description="The event's id: the same each time, and no other event's")]
    kind: Annotated[str, Meta(description="What happened, such as order.cancelled. New kinds may come")]
    version: Annotated[int, Meta(description="The order's version after it")]
    order: Annotated[
        str | None, Meta(description="The order's id, such as connect-54; null for an event about an endpoint")
    ]
    occurred_at: Annotated[datetime, Meta(description="When it was recorded, in UTC, by the clock of the node")]
    data: Annotated[
        JsonObject, Meta(description="More about it; the kind decides which fields there are, see docs/events.md")
    ]


class EventPage(Struct, kw_only=True):
    """Some events of the feed, in its order."""

    events: Annotated[list[Event], Meta(description="The events after the cursor; empty at the end")]
    next: Annotated[str, Meta(description="The parameter after of the next request; at the end, the same once more")]


_BY_NAME: Final = {kind.value: details for kind, details in DETAILS.items()}


def details_of(kind: str, stored: Mapping[str, object]) -> EventDetails | None:
    """Return the details of an event as its struct, or None if a newer version wrote the kind or the details."""
    details = _BY_NAME.get(kind)
    if details is None:
        return None
    try:
        return msgspec.convert(stored, details)
    except msgspec.ValidationError:
        return None


def shown_details(kind: str, stored: Mapping[str, object]) -> Mapping[str, object]:
    """Return the details of an event for readers of the feed and for receivers: those of newer versions as stored."""
    details = details_of(kind, stored)
    if details is None:
        return stored
    shown: Mapping[str, object] = msgspec.to_builtins(details)
    return shown
