"""Place an order for tickets, with their places taken off the stock."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from countermand.actions.ordering.insert_order import insert_with_event
from countermand.actions.ports import OrderView, Ticket, Transaction
from countermand.actions.ticketing.rules import Basket, TicketOrder, basket_of, check_buyer, check_uses, insufficient
from countermand.actions.ticketing.seat import seat_tickets
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import Order, OrderFacts, OrderUid, order_id_of
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import OrderState
from countermand.domain.ticketing.catalogue import Method


async def place_ticket_order(
    tx: Transaction,
    client_id: ClientId,
    wanted: TicketOrder,
    now: datetime,
    *,
    contract: ContractName,
    uid: OrderUid | None = None,
    expires_at: datetime | None = None,
) -> OrderView:
    """Place an order for tickets over a contract: price it, take its places off the stock, make its tickets.

    An order that costs nothing is completed at once; any other expires at `expires_at` unless it is paid. `uid` is for
    an order that already has one elsewhere. Raises `ConflictError` with the codes of `basket_of` and `check_buyer`,
    `voucher_used_up`, `insufficient_products`, `insufficient_consecutive_seats`.
    """
    basket = await basket_of(tx, wanted, now)
    check_buyer(basket, wanted)
    is_free = basket.bill.grand_total_minor == 0
    order = await new_ticket_order(tx, client_id, now, contract=contract, is_completed=is_free, uid=uid)
    tickets = tuple(new_ticket(line.product_uid) for line in basket.lines for _ in range(line.quantity))
    details = {**wanted.details, **_kept(basket), **page_tokens(order)}
    if wanted.ticket_consumers:
        details["ticket_consumers"] = dict(_ticket_consumers(basket, tickets, wanted.ticket_consumers))
    view = OrderView(order=order, details=details, lines=basket.lines, tickets=tickets)
    await insert_with_event(tx, view, now)
    if not is_free and expires_at is not None:
        await tx.expire_at(order.id, expires_at)
    # Vouchers, and products last, as in every transaction: one lock order for all.
    if basket.vouchers:
        codes = [voucher.code for voucher in basket.vouchers]
        await tx.lock_vouchers(codes)
        await check_uses(tx, basket.vouchers)
        await tx.use_vouchers(order.id, codes)
    reserved = await tx.reserve(basket.quantities)
    if reserved.short:
        raise insufficient(reserved.short[0])
    await seat_tickets(tx, view, reserved.seated, together=wanted.consecutive_seats)
    return (await tx.views([order.id]))[order.id]


async def new_ticket_order(
    tx: Transaction,
    client_id: ClientId,
    now: datetime,
    *,
    contract: ContractName,
    is_completed: bool,
    uid: OrderUid | None = None,
) -> Order:
    """A ticket order that is not in the database yet, with its number and its reference."""
    made = uid or OrderUid(secrets.token_hex(16))
    return Order(
        id=order_id_of(made),
        contract=contract,
        kind=OrderKind.TICKET,
        uid=made,
        reference=str(await tx.next_number("reference")),
        client_id=client_id,
        version=1,
        created_at=now,
        facts=OrderFacts(state=OrderState.COMPLETED if is_completed else OrderKind.TICKET.opening_state),
    )


def page_tokens(order: Order) -> dict[str, str]:
    """What opens the page of an order's e-tickets, and what lets its holder read the order over the contract.

    The uid in each finds the order, and 192 random bits beside it cannot be guessed.
    """
    return {name: f"{order.uid}{secrets.token_urlsafe(24)}" for name in ("etickets_token", "order_token")}


def new_ticket(product_uid: str) -> Ticket:
    """A valid ticket, with a code that nobody can guess (80 random bits)."""
    return Ticket(uid=secrets.token_hex(16), product_uid=product_uid, code=secrets.token_hex(10), valid=True)


def _kept(basket: Basket) -> dict[str, Any]:
    """What things cost then, whatever they cost later. `prices` has an entry a line."""
    bill = basket.bill
    return {
        "currency": bill.currency,
        "product_total_minor": bill.product_total_minor,
        "service_costs_minor": bill.service_costs_minor,
        "grand_total_minor": bill.grand_total_minor,
        "donation_minor": bill.donation_minor,
        "prices": [asdict(price) for price in bill.lines],
        "vouchers": [voucher.code for voucher in basket.vouchers],
        "payment_method": method_details(basket.payment),
        "shipping_method": method_details(basket.shipping),
    }


def method_details(method: Method | None) -> dict[str, Any] | None:
    """A method as the order keeps it."""
    if method is None:
        return None
    return {
        "uid": method.uid,
        "name": dict(method.name),
        "image": method.image,
        "costs_minor": method.costs.minor,
        "currency": method.costs.currency,
        "pickup_location": method.pickup_location,
    }


def _ticket_consumers(
    basket: Basket, tickets: tuple[Ticket, ...], given: Mapping[int, Any]
) -> Iterator[tuple[str, Any]]:
    """By ticket, whom it is for. The parts of a combo product are for whom the combo is."""
    rest, chosen, combos = iter(tickets), -1, 1
    for line in basket.lines:
        if line.parent_uid is None:
            chosen, combos = chosen + 1, line.quantity
        for number in range(line.quantity):
            ticket = next(rest)
            if chosen in given:
                yield ticket.uid, given[chosen][number * combos // line.quantity]
