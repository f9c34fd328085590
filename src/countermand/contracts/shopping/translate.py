"""How do orders, decisions and errors look in the shopping contract?

This module builds every answer of the contract.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from msgspec import UNSET, Raw

from countermand.actions.cancelling.explain import Explanation
from countermand.actions.errors import (
    ConflictError,
    FieldsError,
    HeldError,
    IdempotencyKeyReusedError,
    KeySetUnavailableError,
    NotAuthenticatedError,
    NotFoundError,
    UnavailableError,
)
from countermand.actions.ordering.views import Line, OrderView, Ticket
from countermand.actions.ticketing.seat import seat_of
from countermand.actions.ticketing.transfer import prices_of_lines
from countermand.contracts.http.answer import (
    BASIC,
    HAL,
    Answer,
    BodyTooLargeError,
    ForbiddenError,
    MalformedRequestError,
    MethodNotAllowedError,
    NoSuchPathError,
    UnsupportedMediaTypeError,
    error_headers,
    json_answer,
)
from countermand.contracts.http.error_codes import REFUSALS, ErrorCode, error_codes
from countermand.contracts.http.money import Amount
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.hal import date_time
from countermand.contracts.shopping.links import Link
from countermand.domain.cancelling.decision import Granted, Refused
from countermand.domain.instants import written_instant
from countermand.domain.money import Money, written_minor
from countermand.domain.orders.order_details import ChosenMethod
from countermand.domain.orders.order_details import ExternalPurchase as KeptPurchase
from countermand.domain.ticketing.catalogue import Product
from countermand.domain.ticketing.consumer import Consumer
from countermand.domain.ticketing.seating import Seat

# Status and type of each error. The first four types are documented; the others are ours (shopping decision 22).
_STATUS: Final[dict[type[Exception], tuple[int, str]]] = {
    ForbiddenError: (403, "FORBIDDEN"),
    NotFoundError: (404, "NOT_FOUND"),
    NoSuchPathError: (404, "NOT_FOUND"),
    MalformedRequestError: (400, "BAD_REQUEST"),
    FieldsError: (400, "BAD_REQUEST"),
    NotAuthenticatedError: (401, "UNAUTHORIZED"),
    MethodNotAllowedError: (405, "METHOD_NOT_ALLOWED"),
    BodyTooLargeError: (413, "PAYLOAD_TOO_LARGE"),
    UnsupportedMediaTypeError: (415, "UNSUPPORTED_MEDIA_TYPE"),
    IdempotencyKeyReusedError: (422, "IDEMPOTENCY_KEY_REUSED"),
    UnavailableError: (503, "UNAVAILABLE"),
    HeldError: (503, "UNAVAILABLE"),
    KeySetUnavailableError: (503, "UNAVAILABLE"),
}
# Business refusals of a new order (types from the vendor's own client; statuses inferred). BAD_REQUEST is the
# documented type of errors that have no type of their own there; the last four types are ours.
_CONFLICTS: Final[Mapping[str, tuple[int, str]]] = {
    "product_not_available": (404, "PRODUCT_NOT_AVAILABLE"),
    "multiple_events": (400, "MULTIPLE_EVENTS"),
    "not_on_sale": (409, "NOT_ON_SALE"),
    "not_separately_saleable": (400, "NON_SEPARATELY_SALEABLE_PRODUCT"),
    "profile_missing": (400, "PROFILE_MISSING"),
    "insufficient_products": (409, "INSUFFICIENT_PRODUCTS"),
    "insufficient_consecutive_seats": (409, "INSUFFICIENT_CONSECUTIVE_SEATS"),
    "payment_method_missing": (400, "PAYMENT_METHOD_MISSING"),
    "payment_method_not_applicable": (400, "PAYMENT_METHOD_NOT_APPLICABLE"),
    "shipping_method_not_applicable": (400, "SHIPPING_METHOD_NOT_APPLICABLE"),
    "too_many_tickets": (400, "MAX_PER_ORDER_EXCEEDED"),
    "too_few_tickets": (400, "BAD_REQUEST"),
    "consumer_unknown": (400, "BAD_REQUEST"),
    "consumer_not_for_browsers": (403, "FORBIDDEN"),
    "ticket_not_found": (404, "NOT_FOUND"),
    "tickets_of_several_orders": (400, "BAD_REQUEST"),
    "currencies_differ": (400, "BAD_REQUEST"),
    "total_out_of_range": (400, "BAD_REQUEST"),
    "voucher_not_applicable": (400, "VOUCHER_NOT_APPLICABLE"),
    "voucher_used_up": (409, "VOUCHER_USED_UP"),
    "tickets_not_transferable": (409, "TICKETS_NOT_TRANSFERABLE"),
    "cancellation_undone": (409, "CANCELLATION_UNDONE"),
}
_NO_ORDER: Final = {"there is no such order": "The order was not found."}  # the published page's sentence
_ALREADY: Final = "order_already_cancelled"
_UNEXPECTED: Final = (500, "UNKNOWN_ERROR")
_REFUSED: Final = {  # the refusals of a cancellation; the other rules of a policy are FORBIDDEN, too
    _ALREADY: (409, "ORDER_ALREADY_CANCELED"),
    "order_not_cancellable": (403, "FORBIDDEN"),
    "payment_recorded": (403, "FORBIDDEN"),
}
ERROR_CODES: Final = error_codes(
    _STATUS,
    _UNEXPECTED,
    [
        ErrorCode(status=status, code=code, meaning=REFUSALS[refusal])
        for refusal, (status, code) in {**_CONFLICTS, **_REFUSED}.items()
    ],
)


def error_answer(error: Exception) -> Answer:
    """Return an error as an answer, with `type` and `message` at the top (inferred from the vendor's own client)."""
    status, kind = _STATUS.get(type(error), _UNEXPECTED)
    message, reasons = str(error), []
    match error:
        case FieldsError(errors=fields):
            reasons = [messages.Reason(code="INVALID_FIELD", message=said, path=path) for path, said in fields]
        case NotFoundError():
            said = str(error)
            message = "Not found. " + (_NO_ORDER.get(said) or f"{said[:1].upper()}{said[1:]}.")
        case ConflictError(code=code) if code in _CONFLICTS:
            status, kind = _CONFLICTS[code]
        case _ if (status, kind) == _UNEXPECTED:
            message = "There was an unexpected error processing the request"
    return _error(status, kind, message, reasons, headers=error_headers(error, scheme=BASIC, realm="shopping"))


def refusal_answer(refused: Refused) -> Answer:
    """Return 409 for an order that is already cancelled, 403 for every other reason (shopping decisions 5 and 7)."""
    broken = refused.broken
    reasons = [messages.Reason(code=one.code.upper(), message=one.sentence, path="order") for one in broken]
    if any(one.code == _ALREADY for one in broken):
        return _error(409, "ORDER_ALREADY_CANCELED", "Conflict. The order is already canceled.")
    return _error(403, "FORBIDDEN", "Forbidden: " + "; ".join(one.sentence for one in broken), reasons)


def order_answer(
    status: int, view: OrderView, addresses: Addresses, *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Answer:
    """Return the whole order as HAL."""
    return json_answer(status, order_shown(view, addresses), headers=headers, media_type=HAL)


def order_shown(view: OrderView, addresses: Addresses) -> messages.Order:
    """Return an order, key by key as in the published example, with the prices at which it was placed."""
    given, order = view.ticket_details, view.order
    assert order.uid is not None, "every ticket order has a uid"

    def total(minor: int) -> Amount:
        return amount(minor, given.currency)

    payment = _page(given.payment_url or addresses.payment.format(uid=order.uid))
    return messages.Order(
        links={
            "curies": addresses.curies(),
            "self": {"href": addresses.order(order.uid)},
            "profile": addresses.profile("orders"),
            "payment": payment,
            "payment_url": payment,  # read by the vendor's shop of 2015 (shopping decision 32)
            "shop:etickets": _page(given.etickets_url or addresses.etickets.format(token=given.etickets_token or "")),
            "shop:ordercancellation": _page(f"{addresses.public}/ordercancellation"),
            "shop:cancellability": {"href": f"{addresses.order(order.uid)}/cancellability"},
        },
        uid=order.uid,
        reference=order.reference,
        created_date=date_time(order.created_at),
        status=order.state.value,
        product_selection=selections(view.lines, addresses),
        consumer=consumer_shown(given.consumer or Consumer()),
        payment_method=method_shown(given.payment_method),
        shipping_method=method_shown(given.shipping_method),
        product_total=total(given.product_total_minor),
        service_costs=total(given.service_costs_minor),
        grand_total=total(given.grand_total_minor),
        external_purchases=[_external(one) for one in given.external_purchases],
        external_reference=given.external_reference,
        redirect_url=given.redirect_url or UNSET,
        embedded={
            "shop:product": [product_shown(product, addresses, price) for product, price in _as_sold(view)],
            "shop:ticket": [_ticket(view, ticket, addresses) for ticket in view.tickets],
        },
    )


def consumer_shown(consumer: Consumer) -> messages.ShownConsumer:
    """Return the fields that the client gave of a consumer."""
    return cast("messages.ShownConsumer", dict(consumer.given()))


def selections(lines: Sequence[Line], addresses: Addresses) -> list[messages.Selection]:
    """Return lines; the parts of a combo product have their `parent`."""
    return [
        messages.Selection(
            parent=UNSET if line.parent_uid is None else addresses.product(line.parent_uid),
            product=addresses.product(line.product_uid),
            quantity=line.quantity,
        )
        for line in lines
    ]


def _as_sold(view: OrderView) -> list[tuple[Product, Money]]:
    """Return the products, each with its price of the moment when the order was placed."""
    then = {line.product_uid: price.price_minor for line, price in prices_of_lines(view) if price is not None}
    currency = view.ticket_details.currency
    return [
        (one, Money(minor=then[one.uid], currency=currency) if one.uid in then else one.price) for one in view.products
    ]


def cancellability_answer(explanation: Explanation, addresses: Addresses) -> Answer:
    """Ours: return the decision with every finding, and the first instant at which it will be no."""
    decision = explanation.decision
    until = decision.cancellable_until if isinstance(decision, Granted) else None
    order = addresses.order(explanation.order.uid or "")
    shown = messages.Cancellability(
        links={
            "self": {"href": f"{order}/cancellability"},
            "shop:order": {"href": order},
            "curies": addresses.curies(),
        },
        cancellable=isinstance(decision, Granted),
        cancellable_until=None if until is None else written_instant(until),
        decided_at=written_instant(explanation.at),
        findings=[
            messages.Finding(
                code=one.code.upper(),
                passed=one.passed,
                message=one.sentence,
                changes_at=None if one.turns_at is None else written_instant(one.turns_at),
            )
            for one in decision.findings
        ],
    )
    return json_answer(200, shown, media_type=HAL)


def _error(
    status: int,
    kind: str,
    message: str,
    reasons: list[messages.Reason] | None = None,
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Answer:
    return json_answer(status, messages.Error(type=kind, message=message, errors=reasons or []), headers=headers)


def amount(minor: int, currency: str) -> Amount:
    """Return money with two decimals."""
    return Amount(amount=Raw(written_minor(minor).encode()), currency=currency)


def method_shown(given: ChosenMethod | None) -> messages.Method:
    """Return a method, or an empty one if none was chosen: the key is always there (documented for shipping)."""
    if given is None:
        return messages.Method()
    return messages.Method(
        uid=given.uid,
        name=given.name,
        image=given.image or UNSET,
        costs=amount(given.costs_minor, given.currency),
        pickup_location=given.pickup_location or UNSET,
    )


def _external(given: KeptPurchase) -> messages.ExternalPurchase:
    return messages.ExternalPurchase(
        title=given.title,
        product_reference=given.product_reference,
        unit_price=amount(given.unit_price_minor, given.currency),
        quantity=given.quantity,
    )


def product_shown(product: Product, addresses: Addresses, price: Money) -> messages.Product:
    """Return a product as an order embeds it, with the price that the order has for it."""
    return messages.Product(
        links={"self": {"href": addresses.product(product.uid)}},
        uid=product.uid,
        name=dict(product.name),
        price=amount(price.minor, price.currency),
        availability=product.availability,
        total_availability=product.total_availability,
    )


def seating_shown(seat: Seat) -> messages.Seating:
    """Return the place of a ticket's seat."""
    return messages.Seating(section=seat.section, row=seat.row, seat=str(seat.number))


def _ticket(view: OrderView, ticket: Ticket, addresses: Addresses) -> messages.Ticket:
    seat = seat_of(view, ticket)
    return messages.Ticket(
        links={
            "self": {"href": addresses.ticket(ticket.uid)},
            "shop:product": {"href": addresses.product(ticket.product_uid)},
        },
        uid=ticket.uid,
        code=ticket.code,
        valid=view.admits(ticket),
        seating=UNSET if seat is None else seating_shown(seat),
    )


def _page(href: str) -> Link:
    return {"href": href, "type": "text/html"}
