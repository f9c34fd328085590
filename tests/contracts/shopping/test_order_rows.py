"""An order made from its rows looks as the order made with care from its view, byte for byte."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from countermand.actions.ordering.ticket_order_rows import LineRow, ProductRow, TicketOrderRows, TicketRow
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.order_rows import OrderBodies
from countermand.contracts.shopping.translate import order_answer
from countermand.domain.money import LARGEST_MINOR
from countermand.domain.orders.order_details import ChosenMethod, ExternalPurchase, TicketOrderDetails
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.ticketing.bill import LinePrice
from countermand.domain.ticketing.consumer import Consumer
from countermand.domain.ticketing.seating import Seat
from countermand.storage.tables.columns import micros

LANGUAGES = ("en", "nl", "de", "fr")
ADDRESSES = Addresses(
    public="https://tickets.example",
    documentation="https://tickets.example/docs/shopping",
    payment="https://pay.example/{uid}/of/{uid}?é={{uid}}",
    etickets="https://tickets.example/etickets/{token}",
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
uids = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=32, max_size=32)
minors = st.sampled_from([0, 5, 99, 100, 1250, LARGEST_MINOR]) | st.integers(0, LARGEST_MINOR)
names = st.dictionaries(st.sampled_from(LANGUAGES), texts, max_size=4)
currencies = st.sampled_from(["EUR", "GBP"])
instants = st.datetimes(datetime(1969, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given UTC
seats = st.builds(Seat, section=texts, row=texts, number=st.integers(0, 10_000))
prices = st.builds(LinePrice, price_minor=minors, paid_minor=minors, service_costs_minor=minors)
methods = st.builds(
    ChosenMethod,
    uid=uids,
    name=names,
    image=st.none() | texts,
    costs_minor=minors,
    currency=currencies,
    pickup_location=st.none() | texts,
)
externals = st.builds(
    ExternalPurchase,
    title=names,
    product_reference=texts,
    unit_price_minor=minors,
    currency=currencies,
    quantity=st.integers(1, 10_000),
)
consumers = st.builds(
    Consumer,
    **{name: st.just(UNSET) | texts for name in Consumer.__struct_fields__ if name != "gender"},
    gender=st.just(UNSET) | st.sampled_from([0, 1, 2, 9]),
)


@st.composite
def ticket_orders(draw: st.DrawFn) -> TicketOrderRows:
    """Any ticket order whose rows are consistent; the prices of its lines may differ from those of today."""
    products = draw(
        st.lists(
            st.builds(
                ProductRow,
                uid=uids,
                name=names,
                price_minor=minors,
                service_costs_minor=minors,
                currency=currencies,
                availability=st.integers(0, 9999),
                total_availability=st.integers(0, 9999),
            ),
            max_size=4,
            unique_by=lambda one: one.uid,
        )
    )
    sold = st.sampled_from([one.uid for one in products]) if products else st.nothing()
    line = st.builds(LineRow, product_uid=sold, quantity=st.integers(1, 9), parent_uid=st.none() | sold)
    first = [LineRow(one.uid, draw(st.integers(1, 9)), None) for one in products]  # each product has a line
    lines = first + (draw(st.lists(line, max_size=3)) if products else [])
    ticket = st.builds(TicketRow, uid=uids, product_uid=sold, code=texts, valid=st.booleans())
    tickets = draw(st.lists(ticket, max_size=5)) if products else []
    details = TicketOrderDetails(
        consumer=draw(st.none() | consumers),
        external_purchases=tuple(draw(st.lists(externals, max_size=2))),
        external_reference=draw(st.none() | texts),
        redirect_url=draw(st.none() | texts),
        currency=draw(currencies),
        product_total_minor=draw(minors),
        service_costs_minor=draw(minors),
        grand_total_minor=draw(minors),
        prices=draw(st.just(UNSET) | st.tuples(*[st.none() | prices for _ in lines])),
        payment_method=draw(st.none() | methods),
        shipping_method=draw(st.none() | methods),
        etickets_token=draw(st.just(UNSET) | texts),
        seats=draw(st.just(UNSET) | st.fixed_dictionaries({}, optional={one.uid: seats for one in tickets})),
        payment_url=draw(st.just(UNSET) | texts),
        etickets_url=draw(st.just(UNSET) | texts),
    )
    return TicketOrderRows(
        order_id=draw(st.integers(1 << 62, (1 << 63) - 1)),
        contract="shopping",
        client_id=1,
        version=draw(st.integers(1, 9)),
        state=draw(st.sampled_from([one.value for one in OrderKind.TICKET.states])),
        first_payment_at=draw(st.none() | instants.map(micros)),
        refunded_in_full=draw(st.booleans()),
        created_at=micros(draw(instants)),
        uid=draw(uids),
        reference=draw(texts),
        details=details,
        lines=lines,
        tickets=tickets,
        products=products,
    )


@given(order=ticket_orders())
def test_the_body_from_rows_is_the_body_from_the_view_byte_for_byte(order: TicketOrderRows):
    assert OrderBodies(ADDRESSES).body(order) == order_answer(200, order.view, ADDRESSES).body


@given(order=ticket_orders())
def test_no_body_leaves_a_trace_in_the_next(order: TicketOrderRows):
    bodies = OrderBodies(ADDRESSES)
    first = bodies.body(order)
    bodies.body(msgspec.structs.replace(order, uid="z" * 32, details=_PLAIN, tickets=[], lines=[], products=[]))

    assert bodies.body(order) == first


def test_a_line_without_a_price_of_its_own_is_an_error_on_both_ways():
    order = _order(lines=[LineRow("p" * 32, 1, None)] * 2, details=_priced(1))

    for made in (lambda: OrderBodies(ADDRESSES).body(order), lambda: order_answer(200, order.view, ADDRESSES)):
        with pytest.raises(ValueError, match="shorter"):
            made()


def test_the_price_is_that_of_the_moment_when_the_order_was_placed():
    shown = json.loads(OrderBodies(ADDRESSES).body(_order(lines=[LineRow("p" * 32, 1, None)], details=_priced(1))))

    assert shown["_embedded"]["shop:product"][0]["price"] == {"amount": 7.0, "currency": "EUR"}


def _priced(lines: int) -> TicketOrderDetails:
    price = LinePrice(price_minor=700, paid_minor=0, service_costs_minor=0)
    return msgspec.structs.replace(_PLAIN, prices=(price,) * lines)


def _order(lines: list[LineRow], details: TicketOrderDetails) -> TicketOrderRows:
    product = ProductRow("p" * 32, {"en": "Ticket"}, 1250, 0, "EUR", 9, 10)
    facts = ("cancelled", None, False, micros(datetime(2026, 11, 30, tzinfo=UTC)))
    return TicketOrderRows(1 << 62, "shopping", 1, 2, *facts, "u" * 32, "17", details, lines, [], [product])


_PLAIN = TicketOrderDetails(currency="EUR", product_total_minor=0, service_costs_minor=0, grand_total_minor=0)
