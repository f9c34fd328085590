"""Places an order for tickets, and takes their places off the stock."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from msgspec import UNSET, structs

from countermand.actions.catalogue.ports import NumberedOffers, Offer
from countermand.actions.ordering.insert_order import insert_with_event
from countermand.actions.ordering.ports import OrderInsertion
from countermand.actions.ordering.views import OrderView, Ticket
from countermand.actions.ticketing.ports import VoucherUses
from countermand.actions.ticketing.rules import Basket, TicketOrder, basket_of, check_buyer, check_uses, insufficient
from countermand.actions.ticketing.seat import SeatingTransaction, seat_tickets
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import Order, OrderFacts, OrderUid, order_id_of
from countermand.domain.orders.order_details import ChosenMethod, TicketOrderDetails
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import OrderState
from countermand.domain.ticketing.catalogue import Method
from countermand.domain.ticketing.consumer import Consumer


class PlacingTransaction(
    OrderInsertion,
    NumberedOffers,
    VoucherUses,
    SeatingTransaction,
    Protocol,
):
    """Implemented by a transaction in which an order for tickets can be placed."""


async def place_ticket_order(
    tx: PlacingTransaction,
    client_id: ClientId,
    wanted: TicketOrder,
    now: datetime,
    *,
    contract: ContractName,
    uid: OrderUid | None = None,
    expires_at: datetime | None = None,
) -> OrderView:
    """Place an order for tickets over a contract: price it, make its tickets, take its places off the stock.

    An order that costs nothing is completed at once; any other order expires at `expires_at` unless it is paid. `uid`
    is for an order that already has a uid elsewhere. Raises `ConflictError` with the codes of `basket_of` and
    `check_buyer`, `voucher_used_up`, `insufficient_products`, `insufficient_consecutive_seats`.
    """
    reading = _WithReference(tx)
    basket = await basket_of(reading, wanted, now)
    check_buyer(basket, wanted)
    is_free = basket.bill.grand_total_minor == 0
    order = new_ticket_order(reading.reference, client_id, now, contract=contract, is_completed=is_free, uid=uid)
    tickets = tuple(new_ticket(line.product_uid) for line in basket.lines for _ in range(line.quantity))
    details = _details(basket, tickets, wanted, order)
    view = OrderView(order=order, details=details, lines=basket.lines, tickets=tickets)
    codes = [voucher.code for voucher in basket.vouchers]
    # Every transaction locks vouchers here, and products last, so that no two wait for each other.
    if codes:
        await tx.lock_vouchers(codes)
        await check_uses(tx, basket.vouchers)
    reserved = await insert_with_event(
        tx, view, now, expires_at=None if is_free else expires_at, vouchers=codes, places=basket.quantities
    )
    if reserved.short:
        raise insufficient(reserved.short[0])
    products = tuple({line.product_uid: reserved.left[line.product_uid] for line in basket.lines}.values())
    view = replace(view, products=products)
    return await seat_tickets(tx, view, reserved.seated, together=wanted.consecutive_seats)


class _WithReference:
    """Reads an offer, and with it the number by which the order will be known."""

    def __init__(self, tx: NumberedOffers) -> None:
        self._tx = tx
        self.reference = 0

    async def offer(
        self, product_uids: Sequence[str], voucher_codes: Sequence[str], method_uids: Sequence[str]
    ) -> Offer:
        """See `OfferReading.offer`."""
        offer, self.reference = await self._tx.offer_and_number("reference", product_uids, voucher_codes, method_uids)
        return offer


def new_ticket_order(
    reference: int,
    client_id: ClientId,
    now: datetime,
    *,
    contract: ContractName,
    is_completed: bool,
    uid: OrderUid | None = None,
) -> Order:
    """Return a ticket order with this reference. It is not in the database yet."""
    made = uid or OrderUid(secrets.token_hex(16))
    return Order(
        id=order_id_of(made),
        contract=contract,
        kind=OrderKind.TICKET,
        uid=made,
        reference=str(reference),
        client_id=client_id,
        version=1,
        created_at=now,
        facts=OrderFacts(state=OrderState.COMPLETED if is_completed else OrderKind.TICKET.opening_state),
    )


def page_token(order: Order) -> str:
    """Return a token that opens an order or its pages. Its uid finds the order, and 192 random bits protect it."""
    return f"{order.uid}{secrets.token_urlsafe(24)}"


def new_ticket(product_uid: str) -> Ticket:
    """Return a valid ticket, with a code of 80 random bits."""
    return Ticket(uid=secrets.token_hex(16), product_uid=product_uid, code=secrets.token_hex(10), valid=True)


def _details(basket: Basket, tickets: Sequence[Ticket], wanted: TicketOrder, order: Order) -> TicketOrderDetails:
    """Return the order's document: what the client gave, and the prices of now, which stay if the catalogue changes."""
    bill, for_whom = basket.bill, wanted.ticket_consumers
    return TicketOrderDetails(
        **structs.asdict(wanted.given),
        currency=bill.currency,
        product_total_minor=bill.product_total_minor,
        service_costs_minor=bill.service_costs_minor,
        grand_total_minor=bill.grand_total_minor,
        donation_minor=bill.donation_minor,
        prices=bill.lines,
        vouchers=tuple(voucher.code for voucher in basket.vouchers),
        payment_method=chosen_method(basket.payment),
        shipping_method=chosen_method(basket.shipping),
        etickets_token=page_token(order),
        order_token=page_token(order),
        ticket_consumers=dict(_ticket_consumers(basket, tickets, for_whom)) if for_whom else UNSET,
    )


def chosen_method(method: Method | None) -> ChosenMethod | None:
    """Return a method in the form that the order stores."""
    if method is None:
        return None
    return ChosenMethod(
        uid=method.uid,
        name=dict(method.name),
        image=method.image,
        costs_minor=method.costs.minor,
        currency=method.costs.currency,
        pickup_location=method.pickup_location,
    )


def _ticket_consumers(
    basket: Basket, tickets: Sequence[Ticket], given: Mapping[int, Sequence[Consumer]]
) -> Iterator[tuple[str, Consumer]]:
    """Yield each ticket's uid with its consumer. Parts of a combo product have the combo's consumer."""
    rest, chosen, combos = iter(tickets), -1, 1
    for line in basket.lines:
        if line.parent_uid is None:
            chosen, combos = chosen + 1, line.quantity
        for number in range(line.quantity):
            ticket = next(rest)
            if chosen in given:
                yield ticket.uid, given[chosen][number * combos // line.quantity]
