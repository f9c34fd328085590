"""Place an order: a telecom service to be delivered, or tickets with their places taken off the stock."""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from countermand.actions.errors import ConflictError, UnavailableError, UnfitDataError
from countermand.actions.ports import Line, Method, OrderView, Product, Ticket, Transaction
from countermand.domain.client import ClientId
from countermand.domain.contract import Contract
from countermand.domain.facts import order_placed
from countermand.domain.money import Money
from countermand.domain.order import Order, OrderFacts, OrderId, OrderUid, order_id_of
from countermand.domain.order_state import OPENING_STATE, OrderState

TICKETS_CAP: Final = 100  # tickets in one order; ours, so that one order cannot take a transaction for itself


async def place_service_order(
    tx: Transaction, client_id: ClientId, details: Mapping[str, Any], now: datetime
) -> OrderView:
    """Place a telecom order. Its number is counted up."""
    order_id = OrderId(await tx.next_number("order"))
    order = Order(
        id=order_id,
        contract=Contract.CONNECT,
        uid=None,
        reference=str(order_id),
        client_id=client_id,
        version=1,
        created_at=now,
        facts=OrderFacts(state=OPENING_STATE[Contract.CONNECT]),
    )
    return await _place(tx, OrderView(order=order, details=details), now)


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketOrder:
    """What a buyer wants: products by uid, the ways to pay and to be sent the tickets by uid, and the rest as given."""

    lines: Sequence[Line]
    payment_method_uid: str | None
    shipping_method_uid: str | None
    details: Mapping[str, Any]


async def place_ticket_order(
    tx: Transaction, client_id: ClientId, wanted: TicketOrder, now: datetime, *, uid: OrderUid | None = None
) -> OrderView:
    """Place an order for tickets: price it, take its places off the stock, make its tickets.

    An order that costs nothing is completed at once. `uid` is for an order that already has one elsewhere. Raises
    `ConflictError` with the codes `product_not_available`, `insufficient_products`, `payment_method_missing`,
    `payment_method_not_applicable`, `shipping_method_not_applicable`, `currencies_differ`, `total_out_of_range`,
    `too_many_tickets`.
    """
    quantities = Counter({line.product_uid: 0 for line in wanted.lines})
    for line in wanted.lines:
        quantities[line.product_uid] += line.quantity
    if quantities.total() > TICKETS_CAP:
        raise ConflictError(
            "too_many_tickets", f"one order has at most {TICKETS_CAP} tickets, not {quantities.total()}"
        )
    products = await tx.products(list(quantities))
    if unknown := quantities.keys() - products.keys():
        raise ConflictError("product_not_available", f"there is no product {min(unknown)}")
    methods = await tx.methods([uid for uid in (wanted.payment_method_uid, wanted.shipping_method_uid) if uid])
    payment = _method(methods, wanted.payment_method_uid, "payment")
    shipping = _method(methods, wanted.shipping_method_uid, "shipping")
    totals = _totals(quantities, products, payment, shipping)
    if totals["grand_total_minor"] > 0 and payment is None:
        raise ConflictError("payment_method_missing", "an order that costs something needs a payment_method")
    made = uid or OrderUid(secrets.token_hex(16))
    state = OPENING_STATE[Contract.SHOPPING] if totals["grand_total_minor"] > 0 else OrderState.COMPLETED
    order = Order(
        id=order_id_of(made),
        contract=Contract.SHOPPING,
        uid=made,
        reference=str(await tx.next_number("reference")),
        client_id=client_id,
        version=1,
        created_at=now,
        facts=OrderFacts(state=state),
    )
    tickets = tuple(
        Ticket(uid=secrets.token_hex(16), product_uid=product_uid, code=secrets.token_hex(10), valid=True)
        for product_uid in sorted(quantities)
        for _ in range(quantities[product_uid])
    )
    view = OrderView(
        order=order,
        details={
            **wanted.details,
            **totals,
            "payment_method": _method_details(payment),
            "shipping_method": _method_details(shipping),
            "etickets_token": secrets.token_urlsafe(18),
        },
        lines=tuple(wanted.lines),
        tickets=tickets,
    )
    await _place(tx, view, now)
    # Products last, as in every transaction: one lock order for all.
    if short := await tx.reserve(quantities):
        raise ConflictError("insufficient_products", f"there are not enough left of product {short[0]}")
    return (await tx.views([order.id]))[order.id]


async def _place(tx: Transaction, view: OrderView, now: datetime) -> OrderView:
    try:
        await tx.insert_order(view)
    except UnfitDataError as error:
        raise UnavailableError("the order's number is taken; ask again for another") from error
    await tx.tell(view.order, view.order.client_id, [order_placed(view.order.state)], now)
    return view


def _method(methods: Mapping[str, Method], uid: str | None, kind: str) -> Method | None:
    if uid is None:
        return None
    method = methods.get(uid)
    if method is None or method.kind != kind:
        raise ConflictError(f"{kind}_method_not_applicable", f"there is no {kind} method {uid}")
    return method


def _totals(
    quantities: Mapping[str, int],
    products: Mapping[str, Product],
    payment: Method | None,
    shipping: Method | None,
) -> dict[str, Any]:
    """What the buyer pays, in minor units: nothing is rounded, as every part is whole. External purchases are apart."""
    prices = [(products[uid], quantity) for uid, quantity in quantities.items()]
    costs = [method.costs for method in (payment, shipping) if method is not None]
    currencies = {product.price.currency for product, _ in prices} | {cost.currency for cost in costs if cost.minor}
    if len(currencies) > 1:
        raise ConflictError(
            "currencies_differ", f"one order is in one currency, not in {', '.join(sorted(currencies))}"
        )
    product_total = sum(product.price.minor * quantity for product, quantity in prices)
    service_costs = sum(product.service_costs.minor * quantity for product, quantity in prices)
    grand_total = product_total + service_costs
    if grand_total > 0:  # nobody is charged for the payment of nothing
        grand_total += sum(cost.minor for cost in costs)
    currency = min(currencies)
    try:
        Money(minor=grand_total, currency=currency)
    except ValueError as error:
        raise ConflictError("total_out_of_range", str(error)) from None
    return {
        "currency": currency,
        "product_total_minor": product_total,
        "service_costs_minor": service_costs,
        "grand_total_minor": grand_total,
    }


def _method_details(method: Method | None) -> dict[str, Any] | None:
    """A method as the order keeps it: what it cost then, whatever it costs later."""
    if method is None:
        return None
    return {
        "uid": method.uid,
        "name": dict(method.name),
        "image": method.image,
        "costs_minor": method.costs.minor,
        "currency": method.costs.currency,
    }
