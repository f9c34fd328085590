"""How do orders, decisions and errors look in the shopping contract? Every answer of the contract is made here."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import UNSET, Raw

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
from countermand.actions.explain import Explanation
from countermand.actions.ports import OrderView, Product, Ticket
from countermand.contracts.answer import (
    HAL,
    Answer,
    BodyTooLargeError,
    ForbiddenError,
    MalformedRequestError,
    MethodNotAllowedError,
    UnsupportedMediaTypeError,
    error_headers,
    json_answer,
)
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.addresses import Addresses
from countermand.domain.cancellation import Granted, Refused
from countermand.domain.instants import written_instant
from countermand.domain.money import written_minor

# Each of our errors: status, type. The first four types are documented; the others ours (decision 22).
_STATUS: Final[dict[type[Exception], tuple[int, str]]] = {
    ForbiddenError: (403, "FORBIDDEN"),
    NotFoundError: (404, "NOT_FOUND"),
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
# What the business says no to when an order is placed (types from the vendor's own client; statuses inferred).
_CONFLICTS: Final[Mapping[str, tuple[int, str]]] = {
    "product_not_available": (404, "PRODUCT_NOT_AVAILABLE"),
    "insufficient_products": (409, "INSUFFICIENT_PRODUCTS"),
    "payment_method_missing": (400, "PAYMENT_METHOD_MISSING"),
    "payment_method_not_applicable": (400, "PAYMENT_METHOD_NOT_APPLICABLE"),
    "shipping_method_not_applicable": (400, "SHIPPING_METHOD_NOT_APPLICABLE"),
    "too_many_tickets": (400, "MAX_PER_ORDER_EXCEEDED"),
    "currencies_differ": (400, "BAD_REQUEST"),
    "total_out_of_range": (400, "BAD_REQUEST"),
}
_ALREADY: Final = "order_already_cancelled"
_UNEXPECTED: Final = (500, "UNKNOWN_ERROR")


def error_answer(error: Exception) -> Answer:
    """The world's no: `type` and `message` on top (inferred from the vendor's own client)."""
    status, kind = _STATUS.get(type(error), _UNEXPECTED)
    message, reasons = str(error), []
    match error:
        case FieldsError(errors=fields):
            reasons = [messages.Reason(code="INVALID_FIELD", message=said, path=path) for path, said in fields]
        case NotFoundError():
            message = "Not found. The order was not found."
        case ConflictError(code=code) if code in _CONFLICTS:
            status, kind = _CONFLICTS[code]
        case _ if (status, kind) == _UNEXPECTED:
            message = "There was an unexpected error processing the request"
    return _error(status, kind, message, reasons, headers=error_headers(error, challenge=b'Basic realm="shopping"'))


def refusal_answer(refused: Refused) -> Answer:
    """409 for an order that is already cancelled, 403 for every other reason (documented; decisions 5 and 7)."""
    broken = refused.broken
    reasons = [messages.Reason(code=one.code.upper(), message=one.sentence, path="order") for one in broken]
    if any(one.code == _ALREADY for one in broken):
        return _error(409, "ORDER_ALREADY_CANCELED", "Conflict. The order is already canceled.")
    return _error(403, "FORBIDDEN", "Forbidden: " + "; ".join(one.sentence for one in broken), reasons)


def order_answer(
    status: int, view: OrderView, addresses: Addresses, *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Answer:
    """The whole order as HAL, key by key as in the published example."""
    given, order = view.details, view.order
    assert order.uid is not None, "every ticket order has a uid"
    currency = given["currency"]

    def total(name: str) -> messages.Amount:
        return _amount(given[f"{name}_minor"], currency)

    shown = messages.Order(
        links={
            "curies": addresses.curies(),
            "self": {"href": addresses.order(order.uid)},
            "profile": addresses.profile("orders"),
            "payment": _page(given.get("payment_url") or addresses.payment.format(uid=order.uid)),
            "shop:etickets": _page(
                given.get("etickets_url") or addresses.etickets.format(token=given.get("etickets_token", ""))
            ),
            "shop:ordercancellation": _page(f"{addresses.public}/ordercancellation"),
            "shop:cancellability": {"href": f"{addresses.order(order.uid)}/cancellability"},
        },
        uid=order.uid,
        reference=order.reference,
        created_date=_date_time(order.created_at),
        status=order.state.value,
        product_selection=[
            messages.Selection(
                parent=UNSET if line.parent_uid is None else addresses.product(line.parent_uid),
                product=addresses.product(line.product_uid),
                quantity=line.quantity,
            )
            for line in view.lines
        ],
        consumer=given["consumer"],
        payment_method=_method(given["payment_method"]),
        shipping_method=_method(given["shipping_method"]),
        product_total=total("product_total"),
        service_costs=total("service_costs"),
        grand_total=total("grand_total"),
        external_purchases=[_external(one) for one in given.get("external_purchases", ())],
        external_reference=given.get("external_reference"),
        embedded={
            "shop:product": [_product(product, addresses) for product in view.products],
            "shop:ticket": [_ticket(ticket, addresses) for ticket in view.tickets],
        },
    )
    return json_answer(status, shown, headers=headers, media_type=HAL)


def cancellability_answer(explanation: Explanation, addresses: Addresses) -> Answer:
    """Ours: the decision with every finding, and the first instant of no."""
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


def _amount(minor: int, currency: str) -> messages.Amount:
    return messages.Amount(amount=Raw(written_minor(minor).encode()), currency=currency)


def _method(given: Mapping[str, Any] | None) -> messages.Method:
    """Empty when none was chosen: the key is always there (documented for the shipping method)."""
    if given is None:
        return messages.Method()
    return messages.Method(
        uid=given["uid"],
        name=given["name"],
        image=given["image"] or UNSET,
        costs=_amount(given["costs_minor"], given["currency"]),
    )


def _external(given: Mapping[str, Any]) -> messages.ExternalPurchase:
    return messages.ExternalPurchase(
        title=given["title"],
        product_reference=given["product_reference"],
        unit_price=_amount(given["unit_price_minor"], given["currency"]),
        quantity=given["quantity"],
    )


def _product(product: Product, addresses: Addresses) -> messages.Product:
    return messages.Product(
        links={"self": {"href": addresses.product(product.uid)}},
        uid=product.uid,
        name=dict(product.name),
        price=_amount(product.price.minor, product.price.currency),
        availability=product.availability,
        total_availability=product.total_availability,
    )


def _ticket(ticket: Ticket, addresses: Addresses) -> messages.Ticket:
    return messages.Ticket(
        links={
            "self": {"href": addresses.ticket(ticket.uid)},
            "shop:product": {"href": addresses.product(ticket.product_uid)},
        },
        uid=ticket.uid,
        code=ticket.code,
        valid=ticket.valid,
    )


def _page(href: str) -> dict[str, str]:
    return {"href": href, "type": "text/html"}


def _date_time(instant: datetime) -> str:
    """ISO 8601 in UTC, to the second (documented)."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
