"""The webhooks of the connect contract: the resource, with headers that name the event."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from countermand.actions.delivering.dialects import EventToSend, RenderedEvent
from countermand.actions.ordering.read_orders import read_order
from countermand.bootstrap.api_modules import connect_of, shopping_of
from countermand.bootstrap.events_out import order_shower
from countermand.contracts.connect.webhooks import DIALECT
from countermand.contracts.http.contract import Deployment
from countermand.contracts.registry import CONTRACTS
from countermand.domain.delivering.endpoint import Subscription
from countermand.domain.orders import order_events as events
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_events import OrderEvent, OrderEventKind
from countermand.domain.orders.order_state import OrderState, Transition
from support.golden_events import EVENTS, event_of
from support.shared_world import shared_world
from support.world import PUBLIC_URL, Caller, World

world = shared_world

APPOINTMENT_FIELDS = {  # of the published page of the webhook
    *("orderId", "id", "nbnAppointmentId", "status", "startTime", "endTime", "slotType", "timezoneOffset"),
    *("priorityAssist", "eSla", "demandType", "contact", "customerRef", "cancelledOn", "serviceId"),
}


def render(event: EventToSend, *, thin: bool = False) -> RenderedEvent:
    assert DIALECT.says(event.kind, event.details)
    return DIALECT.render(event, Subscription(dialect="connect", thin=thin))


def payload(event: EventToSend, *, thin: bool = False) -> Any:
    return json.loads(render(event, thin=thin).body)


async def of_order(world: World, order_id: OrderId, event: OrderEvent) -> EventToSend:
    view = await read_order(world.database.store, order_id, contract=DIALECT.contract, owner=None)
    terms = (connect_of(world.settings), shopping_of(world.settings, PUBLIC_URL))
    shown = order_shower(CONTRACTS, Deployment(public_url=PUBLIC_URL, terms=terms))(view)
    return replace(event_of(event, view, shown), source=PUBLIC_URL, recorded_at=world.clock())


async def read(world: World, caller: Caller, path: str) -> Any:
    answer = await world.http.get(path, headers=world.connect_headers(caller))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_cancelled_order_is_told_as_its_resource_and_when_it_was_cancelled(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await world.cancel(me, order_id)
    event = await of_order(world, order_id, events.order_cancelled(OrderState.SUBMITTED, None))
    resource = await read(world, me, f"/api/connect/orders/{order_id}")
    assert (resource["status"], resource["isCancellable"]) == ("cancelled", False)
    at = world.clock().replace(microsecond=0).isoformat().replace("+00:00", "Z")
    assert payload(event) == {**resource, "cancelledOn": at}
    link = payload(event, thin=True)
    assert link == {"id": order_id, "href": f"{PUBLIC_URL}/api/connect/orders/{order_id}", "cancelledOn": at}
    assert await read(world, me, link["href"].removeprefix(PUBLIC_URL)) == resource


async def test_a_rejected_order_is_the_published_event_and_says_no_reason(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, moves=(Transition.REJECT,))
    event = await of_order(world, order_id, events.order_advanced(OrderState.SUBMITTED, OrderState.REJECTED))
    told, resource = payload(event), await read(world, me, f"/api/connect/orders/{order_id}")
    assert told.pop("rejectedOn").endswith("Z")
    assert told == resource
    assert told["status"] == "rejected"
    assert dict(render(event).headers) == {
        "z-event-type": "order.rejected.event",
        "z-notification-type": "order.rejected.notification",
        "z-notification-model": "order",
    }


async def test_a_cancelled_appointment_is_told_with_the_published_fields(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=40))
    await world.cancel(me, order_id)
    view = await read_order(world.database.store, order_id, contract=DIALECT.contract, owner=None)
    (visit,) = view.appointments
    event = await of_order(world, order_id, events.appointment_cancelled(visit))
    told = payload(event)
    assert told.keys() == APPOINTMENT_FIELDS
    assert told == await read(world, me, f"/api/connect/orders/appointments/{visit.id}")
    assert (told["status"], told["orderId"]) == ("cancelled", order_id)
    link = payload(event, thin=True)
    assert link.keys() == {"id", "orderId", "href", "cancelledOn"}
    assert await read(world, me, link["href"].removeprefix(PUBLIC_URL)) == told
    assert dict(render(event).headers) == {
        "z-event-type": "appointment.cancelled.event",
        "z-notification-type": "appointment.cancelled.notification",
        "z-notification-model": "appointment",
    }


def test_an_appointment_that_the_order_does_not_have_any_more_is_told_as_a_link():
    event = EVENTS["appointment.cancelled"]
    assert event.shown is not None
    without = replace(event.shown, whole={**event.shown.whole, "appointments": []})
    assert payload(replace(event, shown=without)) == payload(event, thin=True)


@pytest.mark.parametrize("state", OrderState)
def test_of_the_moves_of_an_order_the_rejection_alone_has_a_name(state: OrderState):
    event = events.order_advanced(OrderState.SUBMITTED, state)
    assert DIALECT.says(event.kind, event.details) is (state is OrderState.REJECTED)


def test_kinds_for_which_no_page_supports_a_name_are_not_said():
    said = {OrderEventKind.ORDER_CANCELLED, OrderEventKind.ORDER_ADVANCED, OrderEventKind.APPOINTMENT_CANCELLED}
    assert DIALECT.kinds == {*said, "endpoint.test"}
    for event in EVENTS.values():
        if event.kind not in DIALECT.kinds:
            assert not DIALECT.says(event.kind, event.details)
    assert not DIALECT.says("order.merged", {"to": "rejected"})


def test_the_dialect_is_for_orders_of_the_contract_alone():
    assert (DIALECT.name, DIALECT.contract) == ("connect", "connect")
