"""Order documents and consumers as JSON: what is written, what is read, and what a change leaves alone."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import UNSET, structs
from sqlalchemy import update

from countermand.actions.ticketing.consumers import keep_consumer
from countermand.domain.known import Unknown
from countermand.domain.orders.order_details import (
    PlanSnapshot,
    ServiceOrderDetails,
    TicketOrderDetails,
    UnknownDetails,
)
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.ticketing.bill import LinePrice
from countermand.domain.ticketing.consumer import Consumer
from countermand.domain.ticketing.seating import Seat
from countermand.storage.repositories.documents import changed_document, decoded_details, encoded_document
from countermand.storage.tables.orders import order_details
from countermand.storage.tables.tickets import consumers
from support.shared_world import shared_world
from support.world import World

world = shared_world

PRICE = LinePrice(price_minor=1250, paid_minor=1000, service_costs_minor=50)
TICKETS = TicketOrderDetails(
    consumer=Consumer(first_name="Zoë"),
    currency="EUR",
    product_total_minor=2000,
    service_costs_minor=100,
    grand_total_minor=2100,
    prices=(PRICE, None),
)
# As a newer version may have written it: with fields of its own at the top and within.
STORED = {
    "loyalty": {"points": 1, "rate": 1.10},
    "consumer": {"first_name": "Zoë", "pronouns": ["she", None]},
    "currency": "EUR",
    "product_total_minor": 2000,
    "service_costs_minor": 100,
    "grand_total_minor": 2100,
    "prices": [{"price_minor": 1250, "paid_minor": 1000, "service_costs_minor": 50, "tax_minor": 3}, None],
    "payment_method": None,
}


def test_a_ticket_order_has_in_its_document_what_was_given_and_null_where_the_contract_says_nothing():
    assert json.loads(encoded_document(TICKETS)) == {
        "consumer": {"first_name": "Zoë"},
        "external_purchases": [],
        "external_reference": None,
        "redirect_url": None,
        "opt_in": None,
        "currency": "EUR",
        "product_total_minor": 2000,
        "service_costs_minor": 100,
        "grand_total_minor": 2100,
        "prices": [{"price_minor": 1250, "paid_minor": 1000, "service_costs_minor": 50}, None],
        "payment_method": None,
        "shipping_method": None,
    }
    assert "Zoë" in encoded_document(TICKETS)


def test_a_service_order_has_in_its_document_what_was_given_alone_under_the_names_of_the_contract():
    details = ServiceOrderDetails(location_id="LOC1", pots_waiver=False, require_vlan=True, plan=PlanSnapshot())
    assert json.loads(encoded_document(details)) == {
        "locationId": "LOC1",
        "potsWaiver": False,
        "requireVLAN": True,
        "plan": {
            "one_time_charge": None,
            "monthly_charge": None,
            "speed_down_mbit_s": None,
            "speed_up_mbit_s": None,
        },
    }


@pytest.mark.parametrize("details", [TICKETS, ServiceOrderDetails(term=0, service_id=7)])
def test_what_was_written_is_read_again(details: TicketOrderDetails | ServiceOrderDetails):
    kind = OrderKind.SERVICE if isinstance(details, ServiceOrderDetails) else OrderKind.TICKET
    assert decoded_details(kind, encoded_document(details)) == details


@pytest.mark.parametrize(
    "stored",
    [
        "{}",
        "[]",
        "no JSON",
        json.dumps(STORED | {"consumer": "Zoë"}),
        json.dumps(STORED | {"currency": "EURO"}),
        json.dumps(STORED | {"grand_total_minor": "21.00"}),
        json.dumps(STORED | {"grand_total_minor": 10**15 + 1}),
        json.dumps(STORED | {"grand_total_minor": -1}),
    ],
)
def test_a_document_in_another_form_is_unknown(stored: str):
    assert decoded_details(OrderKind.TICKET, stored) == UnknownDetails()


def test_a_document_of_an_unknown_contract_is_unknown():
    assert decoded_details(Unknown("teleported"), json.dumps(STORED)) == UnknownDetails()


def test_fields_that_nobody_knows_are_read_over():
    assert decoded_details(OrderKind.TICKET, json.dumps(STORED)) == TICKETS


def test_a_change_writes_what_changed_and_keeps_every_field_it_does_not_know_nested_ones_too():
    seat = Seat(section="A", row="1", number=7)
    dearer = structs.replace(
        TICKETS,
        consumer=Consumer(first_name="Jo", email="jo@example.com"),
        prices=(replace(PRICE, paid_minor=900), None),
        seats={"t": seat},
    )
    changed = json.loads(changed_document(json.dumps(STORED), TICKETS, dearer))
    assert changed == STORED | {
        "consumer": {"first_name": "Jo", "pronouns": ["she", None], "email": "jo@example.com"},
        "prices": [{"price_minor": 1250, "paid_minor": 900, "service_costs_minor": 50, "tax_minor": 3}, None],
        "seats": {"t": {"section": "A", "row": "1", "number": 7}},
    }


def test_a_field_that_is_taken_back_goes_and_takes_no_other_along():
    without = structs.replace(TICKETS, consumer=Consumer(), prices=UNSET)
    changed = json.loads(changed_document(json.dumps(STORED), TICKETS, without))
    assert changed == {name: value for name, value in STORED.items() if name != "prices"} | {
        "consumer": {"pronouns": ["she", None]}
    }


def test_without_a_change_the_text_stays_as_it_is_to_the_byte():
    stored = json.dumps(STORED, indent=3).replace("1.1", "1.10e0")
    assert changed_document(stored, TICKETS, TICKETS) == stored
    more = changed_document(stored, TICKETS, structs.replace(TICKETS, external_reference="R"))
    assert "1.10e0" in more


async def test_a_stored_order_keeps_what_it_does_not_know_when_its_details_change(world: World):
    view = await world.ticket_order(await world.shopping_client())
    of_order = order_details.c.order_id == view.order.id
    before = view.ticket_details
    stored = json.loads(encoded_document(before))
    newer = stored | {"loyalty": {"rate": 1.5}, "consumer": {**stored["consumer"], "pronouns": "they"}}
    seats = {"t": Seat(section="A", row="1", number=7)}
    async with world.database.store.transaction() as tx:
        await tx.run(update(order_details).where(of_order).values(details=json.dumps(newer)))
        await tx.change_details(view.order.id, before, structs.replace(before, seats=seats))
    (row,) = await world.rows("order_details", view.order.id)
    assert json.loads(row["details"]) == newer | {"seats": {"t": {"section": "A", "row": "1", "number": 7}}}


async def test_a_revision_of_a_consumer_keeps_what_it_does_not_know(world: World):
    client, now = (await world.shopping_client()).client, world.clock()
    async with world.database.store.transaction() as tx:
        first = await keep_consumer(tx, client, Consumer(first_name="Zoë", city="Utrecht"), now)
        newer = json.dumps({"first_name": "Zoë", "city": "Utrecht", "pronouns": "she"})
        await tx.run(update(consumers).where(consumers.c.uid == first.uid).values(details=newer))
        given = Consumer(uid=first.uid, city="Leiden")
        second = await keep_consumer(tx, client, given, now + timedelta(seconds=1))
    kept = {row["uid"]: json.loads(row["details"]) for row in await world.rows("consumers")}
    assert kept == {
        first.uid: {"first_name": "Zoë", "city": "Utrecht", "pronouns": "she"},
        second.uid: {"first_name": "Zoë", "city": "Leiden", "pronouns": "she"},
    }
