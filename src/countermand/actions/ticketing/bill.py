"""What would an order for tickets cost now? The bill reserves nothing and promises nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from msgspec import structs

from countermand.actions.catalogue.ports import CatalogueReading, OfferReading, VoucherReading
from countermand.actions.ordering.views import Line
from countermand.actions.ticketing.consumers import seen_consumer
from countermand.actions.ticketing.ports import ConsumerReading
from countermand.actions.ticketing.rules import TicketOrder, basket_of, check_uses, short_of
from countermand.actions.ticketing.seat import seats_of_lines
from countermand.actions.ticketing.seat_ports import FreeSeats
from countermand.actions.ticketing.transfer import TransferReading, lines_of_transfer
from countermand.domain.client import Client, ClientId
from countermand.domain.ticketing.bill import Bill
from countermand.domain.ticketing.catalogue import Method


@dataclass(frozen=True, kw_only=True, slots=True)
class Billed:
    """The lines, their bill, the chosen methods, and the methods that consumers of the country can use."""

    lines: Sequence[Line]
    bill: Bill
    payment: Method | None
    shipping: Method | None
    methods: Sequence[Method]


class BillReading(CatalogueReading, OfferReading, VoucherReading, ConsumerReading, FreeSeats, Protocol):
    """Reads what the bill of an order for tickets depends on."""


async def bill_tickets(reading: BillReading, client: Client, wanted: TicketOrder, now: datetime) -> Billed:
    """Return the bill of products.

    Raises as `place_ticket_order` does, except for rules that only an order must meet.
    """
    consumer = await seen_consumer(reading, client, wanted.consumer)
    for given in (wanted.ticket_consumers or {}).values():
        for one in given:
            await seen_consumer(reading, client, one)
    wanted = replace(wanted, given=structs.replace(wanted.given, consumer=consumer))
    basket = await basket_of(reading, wanted, now)
    await check_uses(reading, basket.vouchers)
    if (short := short_of(basket.products, basket.quantities)) is not None:
        raise short
    seated = {uid for uid, product in basket.products.items() if product.is_seated}
    await seats_of_lines(reading, basket.lines, seated, together=wanted.consecutive_seats)
    country = consumer.country or None
    return Billed(
        lines=basket.lines,
        bill=basket.bill,
        payment=basket.payment,
        shipping=basket.shipping,
        methods=[
            method
            for _, method in sorted((await reading.methods()).items())
            # Without a country the answer has no payment methods (documented).
            if method.is_for(country)
            and not (method.kind == "payment" and country is None)
            and (method.costs.minor == 0 or method.costs.currency == basket.bill.currency)
        ],
    )


async def bill_transfer(reading: TransferReading, client_id: ClientId, ticket_uids: Sequence[str]) -> Billed:
    """Return the bill of a transfer, which costs nothing. Raises as `transferable` does."""
    lines, currency = await lines_of_transfer(reading, client_id, ticket_uids)
    bill = Bill(
        currency=currency,
        lines=(),
        product_total_minor=0,
        service_costs_minor=0,
        donation_minor=0,
        grand_total_minor=0,
    )
    return Billed(lines=lines, bill=bill, payment=None, shipping=None, methods=())
