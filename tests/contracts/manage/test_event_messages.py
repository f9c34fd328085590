"""The details of each kind of order event are a versioned struct, into which everything that is written decodes."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from countermand.actions.ordering.event_feed import FeedPage
from countermand.actions.ordering.feed_ports import NumberedEvent
from countermand.contracts.manage.event_messages import DETAILS, EventDetails, OrderCancelled, details_of
from countermand.contracts.manage.events import page_shown
from countermand.domain.appointments.appointment import Appointment, AppointmentId, AppointmentState
from countermand.domain.delivering.endpoint import EndpointEventKind
from countermand.domain.money import Money
from countermand.domain.orders import order_events as events
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_events import OrderEvent, OrderEventKind
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment import Payment
from countermand.domain.staff_id import StaffId
from countermand.storage.repositories.rows import written

# The digest of each schema, by kind and version. A struct that changes gets a new version, and a digest beside the old.
KEPT: Final = Path(__file__).with_name("event_schemas.json")
PAGE: Final = Path(__file__).parents[3] / "docs" / "events.md"
AT: Final = datetime(2026, 11, 30, 12, 0, 0, 5, tzinfo=UTC)
VISIT: Final = Appointment(id=AppointmentId(3), state=AppointmentState.CANCELLED, starts_at=AT, ends_at=AT)
EUROS: Final = Money(minor=1250, currency="EUR")


def payment(*, is_late: bool) -> Payment:
    return Payment(reference="psp-1", money=EUROS, recorded_at=AT, is_late=is_late)


WRITTEN: Final = [
    events.order_placed(OrderState.SUBMITTED),
    events.order_advanced(OrderState.SUBMITTED, OrderState.HELD),
    events.order_expired(OrderState.PENDING),
    events.order_cancelled(OrderState.SUBMITTED, None),
    events.order_cancelled(OrderState.SUBMITTED, "moved", StaffId("kim")),
    events.order_restored(OrderState.SUBMITTED, "by mistake"),
    events.appointment_set(VISIT),
    events.appointment_moved(VISIT, AT),
    events.appointment_advanced(VISIT, AppointmentState.BOOKED),
    events.appointment_cancelled(VISIT),
    events.payment_recorded(payment(is_late=False)),
    events.payment_recorded(payment(is_late=True)),
    events.payment_voided(payment(is_late=False), "never came"),
    events.payment_refunded("r-1", EUROS, "asked for"),
    events.payment_charged_back("c-1", EUROS, "fraud"),
    events.refund_due([EUROS, Money(minor=5, currency="USD")], None),
    events.refund_failed("r-1", EUROS, "account closed"),
]


def digest(details: type[EventDetails]) -> str:
    schema = json.dumps(without_prose(msgspec.json.schema(details)), sort_keys=True)
    return hashlib.sha256(schema.encode()).hexdigest()[:16]


def without_prose(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: without_prose(one) for name, one in schema.items() if name not in {"description", "title"}}
    return [without_prose(one) for one in schema] if isinstance(schema, list) else schema


def test_every_kind_has_a_struct():
    assert set(DETAILS) == {*OrderEventKind, *EndpointEventKind}


def test_a_struct_that_changes_gets_a_new_version():
    kept = json.loads(KEPT.read_text())
    now = {kind.value: (str(details.version), digest(details)) for kind, details in DETAILS.items()}
    changed = [kind for kind, (version, is_now) in now.items() if kept.get(kind, {}).get(version) != is_now]
    assert not changed, f"raise the version of {changed}, and add {now} to {KEPT.name}"


def test_the_page_has_each_kind_with_its_version_and_fields_in_the_order_of_a_version():
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    shown = [(row[0], row[1], row[3]) for row in rows if row[0].removeprefix("| `").removesuffix("`") in set(DETAILS)]
    assert shown == [
        (
            f"| `{kind}`",
            str(DETAILS[kind].version),
            ", ".join(f"`{one.encode_name}`" for one in msgspec.structs.fields(DETAILS[kind])) + " |",
        )
        for kind in (*events.ORDER_WITHIN_A_VERSION, *EndpointEventKind)
    ]


def test_every_kind_is_written_here():
    assert {event.kind for event in WRITTEN} == set(OrderEventKind)


@pytest.mark.parametrize("event", WRITTEN, ids=lambda event: event.kind)
def test_what_is_written_decodes_and_nothing_of_it_is_lost(event: OrderEvent):
    stored = json.loads(written(event.details))
    details = details_of(event.kind.value, stored)
    assert isinstance(details, DETAILS[event.kind])
    shown = json.loads(msgspec.json.encode(details))
    assert {name: shown[name] for name in stored} == stored
    assert all(shown[name] is None for name in shown.keys() - stored.keys())


def test_details_of_an_older_version_have_defaults():
    stored = {"from": "submitted"}
    assert details_of("order.cancelled", stored) == OrderCancelled(before="submitted")


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        ("order.merged", {"with": 5}),
        ("order.placed", {"state": "submitted", "colour": "red"}),
        ("order.placed", {"state": 5}),
        ("order.placed", {}),
        ("refund.due", {"amounts": [{"amount_minor": 5, "currency": "EUR", "rate": 2}]}),
    ],
)
def test_what_a_newer_version_wrote_has_no_struct(kind: str, stored: dict[str, object]):
    assert details_of(kind, stored) is None


def test_an_event_about_an_endpoint_has_no_order_and_is_named_after_the_endpoint():
    event = NumberedEvent(
        position=7,
        order_id=OrderId(-3),
        contract=None,
        uid=None,
        order_version=2,
        kind="endpoint.paused",
        digest="0123abcd",
        recorded_at=AT,
        details={"endpoint": "ep_0123456789abcdef", "url": "https://shop.example/", "reason": "it answered 410"},
    )
    (shown,) = page_shown(FeedPage(events=[("1-7", event)], following="1-7", is_last=True)).events
    assert shown.order is None
    assert shown.id == "evt_ep_0123456789abcdef_2_endpoint_paused_0123abcd"
    assert (shown.data["endpoint"], shown.data["reason"]) == ("ep_0123456789abcdef", "it answered 410")
