"""A fixed set of events, and what each dialect makes of them: the files of `tests/delivery/golden/`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from countermand.actions.delivering.dialects import EventToSend, RenderedEvent, ShownOrder
from countermand.actions.ordering.views import Line, OrderView, Ticket
from countermand.bootstrap.api_modules import connect_of, shopping_of
from countermand.bootstrap.events_out import dialects_of, order_shower
from countermand.contracts.http.contract import Deployment
from countermand.contracts.manage.event_messages import shown_details
from countermand.contracts.manage.order_ids import order_id_text
from countermand.contracts.registry import CONTRACTS
from countermand.domain.appointments.appointment import Appointment, AppointmentId, AppointmentState
from countermand.domain.client import ClientId
from countermand.domain.delivering.endpoint import EndpointEventKind, Subscription
from countermand.domain.money import Money
from countermand.domain.orders import order_events as events
from countermand.domain.orders.event_ids import event_digest, event_id
from countermand.domain.orders.order import Order, OrderFacts, OrderId, OrderUid, order_id_of
from countermand.domain.orders.order_details import (
    ChosenMethod,
    PlanSnapshot,
    ServiceOrderDetails,
    TicketOrderDetails,
)
from countermand.domain.orders.order_events import OrderEvent
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment import Payment
from countermand.domain.ticketing.catalogue import Product
from countermand.domain.ticketing.consumer import Consumer
from countermand.settings import Settings
from countermand.storage.repositories.rows import written
from support.contracts import CONNECT, SHOPPING

GOLDEN: Final = Path(__file__).parents[1] / "delivery" / "golden"
SOURCE: Final = "https://orders.example"
DEPLOYMENT: Final = Deployment(
    public_url=SOURCE, terms=(connect_of(Settings()), shopping_of(Settings(public_url=SOURCE), SOURCE))
)
AT: Final = datetime(2026, 11, 30, 12, 0, 0, 5, tzinfo=UTC)
SECRET_TOKEN: Final = "the order's own token"
SHOWN: Final = order_shower(CONTRACTS, DEPLOYMENT)
DIALECTS: Final = dialects_of(CONTRACTS)
FORMS: Final[Mapping[str, Subscription]] = {
    "standard-whole": Subscription(),
    "standard-thin": Subscription(thin=True),
    "cloudevents-binary-whole": Subscription(dialect="cloudevents"),
    "cloudevents-binary-thin": Subscription(dialect="cloudevents", thin=True),
    "cloudevents-structured-whole": Subscription(dialect="cloudevents", structured=True),
    "cloudevents-structured-thin": Subscription(dialect="cloudevents", structured=True, thin=True),
    "connect-whole": Subscription(dialect="connect"),
    "connect-thin": Subscription(dialect="connect", thin=True),
}

_UID: Final = OrderUid("87a2195h3gd162fb35c5a3dbd7bapo1l")
_PRODUCT: Final = "1" * 32
_EUROS: Final = Money(minor=2750, currency="EUR")
_VISIT: Final = Appointment(
    id=AppointmentId(3),
    state=AppointmentState.BOOKED,
    starts_at=AT + timedelta(days=2),
    ends_at=AT + timedelta(days=2, hours=4),
)
_NO_VISIT: Final = replace(_VISIT, state=AppointmentState.CANCELLED, cancelled_at=AT)


def service_order(state: OrderState, visit: Appointment = _VISIT) -> OrderView:
    """Return a telecom order."""
    order = Order(
        id=OrderId(54),
        contract=CONNECT.name,
        kind=OrderKind.SERVICE,
        uid=None,
        reference="54",
        client_id=ClientId(1),
        version=5,
        created_at=AT - timedelta(days=1),
        facts=OrderFacts(state=state),
    )
    details = ServiceOrderDetails(
        contact_name="Zoë Kent",
        contact_phone="0298765432",
        location_id="LOC380100009114",
        plan_name="Fast 100",
        aggregation_method="L2TP",
        customer_reference="CR-1",
        plan=PlanSnapshot(one_time_charge="75.00", monthly_charge="60.00", speed_down_mbit_s=100, speed_up_mbit_s=20),
        service_id=54,
    )
    return OrderView(order=order, details=details, appointments=(visit,))


def ticket_order(state: OrderState) -> OrderView:
    """Return an order for two tickets."""
    order = Order(
        id=order_id_of(_UID),
        contract=SHOPPING.name,
        kind=OrderKind.TICKET,
        uid=_UID,
        reference="525743",
        client_id=ClientId(2),
        version=4,
        created_at=AT - timedelta(hours=1),
        facts=OrderFacts(state=state),
    )
    details = TicketOrderDetails(
        consumer=Consumer(first_name="Zoë", email="zoe@kent.example"),
        external_reference="CO-115",
        currency="EUR",
        product_total_minor=2500,
        service_costs_minor=200,
        grand_total_minor=2750,
        payment_method=ChosenMethod(uid="2" * 32, name={"nl": "iDEAL", "en": "iDEAL"}, costs_minor=50, currency="EUR"),
        etickets_token="for-the-tickets",
        order_token=SECRET_TOKEN,
    )
    product = Product(
        uid=_PRODUCT,
        name={"en": "Day ticket"},
        price=Money(minor=1250, currency="EUR"),
        service_costs=Money(minor=100, currency="EUR"),
        availability=8,
        total_availability=10,
    )
    return OrderView(
        order=order,
        details=details,
        lines=(Line(product_uid=_PRODUCT, quantity=2),),
        products=(product,),
        tickets=tuple(
            Ticket(uid=f"{number}" * 32, product_uid=_PRODUCT, code=f"code {number}", valid=True) for number in (3, 4)
        ),
    )


def _payment(*, is_late: bool = False) -> Payment:
    return Payment(reference="psp-1", money=_EUROS, recorded_at=AT, is_late=is_late)


def _of_service_orders() -> Iterator[tuple[str, OrderEvent, OrderView]]:
    states, visits = OrderState, AppointmentState
    yield "", events.order_placed(states.SUBMITTED), service_order(states.SUBMITTED)
    yield "", events.order_advanced(states.ACCEPTED, states.HELD), service_order(states.HELD)
    rejected = events.order_advanced(states.ACCEPTED, states.REJECTED)
    yield " to rejected", rejected, service_order(states.REJECTED)
    cancelled = service_order(states.CANCELLED, _NO_VISIT)
    yield "", events.order_cancelled(states.ACCEPTED, "bought elsewhere, “cheaper”"), cancelled
    yield "", events.appointment_cancelled(_NO_VISIT), cancelled
    yield "", events.order_restored(states.ACCEPTED, "by mistake"), service_order(states.ACCEPTED)
    yield "", events.appointment_set(_VISIT), service_order(states.ACCEPTED)
    yield "", events.appointment_moved(_VISIT, AT + timedelta(days=3)), service_order(states.ACCEPTED)
    working = replace(_VISIT, state=visits.IN_PROGRESS)
    yield "", events.appointment_advanced(working, visits.BOOKED), service_order(states.IN_PROGRESS, working)


def _of_ticket_orders() -> Iterator[tuple[str, OrderEvent, OrderView]]:
    states = OrderState
    yield " of tickets", events.order_placed(states.PENDING), ticket_order(states.PENDING)
    yield "", events.payment_recorded(_payment()), ticket_order(states.COMPLETED)
    yield " to completed", events.order_advanced(states.PENDING, states.COMPLETED), ticket_order(states.COMPLETED)
    yield "", events.order_expired(states.PENDING), ticket_order(states.EXPIRED)
    yield "", events.payment_recorded(_payment(is_late=True)), ticket_order(states.EXPIRED)
    yield " of tickets", events.order_cancelled(states.COMPLETED, "ill"), ticket_order(states.CANCELLED)
    yield "", events.refund_due([_EUROS], "ill"), ticket_order(states.CANCELLED)
    yield "", events.payment_refunded("re-1", _EUROS, "ill"), ticket_order(states.CANCELLED)
    yield "", events.refund_failed("re-1", _EUROS, "account closed"), ticket_order(states.CANCELLED)
    yield "", events.payment_charged_back("cb-1", _EUROS, "fraud"), ticket_order(states.COMPLETED)
    yield "", events.payment_voided(_payment(), "never came"), ticket_order(states.PENDING)


def event_of(event: OrderEvent, view: OrderView, shown: ShownOrder | None) -> EventToSend:
    """Return an event of an order as the relay hands it to a dialect."""
    stored, order, version = written(event.details), order_id_text(view.order), view.order.version - 1
    digest = event_digest(int(AT.timestamp() * 1_000_000), stored.encode())
    return EventToSend(
        id=event_id(order, version, event.kind, digest),
        kind=event.kind.value,
        version=version,
        recorded_at=AT,
        details=shown_details(event.kind, json.loads(stored)),
        order=order,
        contract=view.order.contract,
        shown=shown,
        source=SOURCE,
    )


def endpoint_event(kind: EndpointEventKind) -> EventToSend:
    """Return an event about an endpoint."""
    more: dict[str, object] = {}
    if kind is not EndpointEventKind.TEST:
        more["since"] = (AT - timedelta(hours=1)).isoformat()
    if kind is EndpointEventKind.PAUSED:
        more["reason"] = "the receiver answered 410"
    details = {"endpoint": "ep_0123456789abcdef", "url": "https://shop.example/hooks", **more}
    return EventToSend(
        id=f"evt_ep_0123456789abcdef_0_{kind.replace('.', '_')}_00000000",
        kind=kind.value,
        version=0,
        recorded_at=AT,
        details=shown_details(kind, details),
        order=None,
        contract=None,
        shown=None,
        source=SOURCE,
    )


def _all_events() -> Iterator[tuple[str, EventToSend]]:
    for more, event, view in (*_of_service_orders(), *_of_ticket_orders()):
        yield event.kind.value + more, event_of(event, view, SHOWN(view))
    for kind in EndpointEventKind:
        yield kind.value, endpoint_event(kind)
    view = service_order(OrderState.SUBMITTED)
    yield "order.placed of a contract that is not here", event_of(events.order_placed(OrderState.SUBMITTED), view, None)


EVENTS: Final[Mapping[str, EventToSend]] = dict(_all_events())


def rendered(event: EventToSend, subscription: Subscription) -> RenderedEvent | None:
    """Return an event in the words of a subscription's dialect, or None if the dialect does not say it to anybody."""
    dialect = DIALECTS.by_name[subscription.dialect]
    if dialect.contract not in {None, event.contract} and event.contract is not None:
        return None
    if event.shown is None and event.order is not None and dialect.contract is not None:
        return None  # a node without the contract does not have its dialect, either
    return dialect.render(event, subscription) if dialect.says(event.kind, event.details) else None


def golden_file(form: str) -> str:
    """Return the content of the file of a form: the headers and the body of each event that it says."""
    found = {name: rendered(event, FORMS[form]) for name, event in EVENTS.items()}
    shown = {
        name: {"headers": {"content-type": one.content_type, **dict(one.headers)}, "body": one.body.decode()}
        for name, one in found.items()
        if one is not None
    }
    return msgspec.json.format(msgspec.json.encode(shown), indent=1).decode() + "\n"
