"""The shopping contract's calls: what each is for, and what it does."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from countermand.actions.errors import ConflictError, FieldsError, NotFoundError
from countermand.actions.explain import explain
from countermand.actions.once import once
from countermand.actions.place_orders import TicketOrder, place_ticket_order
from countermand.actions.ports import Line, Transaction
from countermand.actions.read_orders import read_order
from countermand.contracts.answer import HAL, Answer, ForbiddenError, check_media_type, restored, stored
from countermand.contracts.body import decode, read, shown
from countermand.contracts.idempotency import idempotency_key
from countermand.contracts.openapi import IDEMPOTENCY_KEY, Operation, Reply, parameter
from countermand.contracts.routing import Call, Route, Services
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.cancel import PATH, basic
from countermand.contracts.shopping.translate import cancellability_answer, error_answer, order_answer
from countermand.domain.client import Client, Permission
from countermand.domain.contract import Door
from countermand.domain.money import Money
from countermand.domain.order import UID_PATTERN, OrderId, order_id_of

_ORDERS: Final = "/orders"
_ORDER: Final = "/orders/{uid}"

_UID: Final = parameter("uid", "path", "The order's uid", {"type": "string", "pattern": "^[0-9a-z]{32}$"})
_COMMON: Final[Mapping[int, Reply]] = {
    401: Reply(
        when="UNAUTHORIZED: the key and secret are missing or wrong",
        message=messages.Error,
        headers={"WWW-Authenticate": "Basic"},
    ),
    403: Reply(when="FORBIDDEN: a permission is missing", message=messages.Error),
    500: Reply(when="UNKNOWN_ERROR", message=messages.Error),
    503: Reply(
        when="UNAVAILABLE: certainly not done; worth asking again",
        message=messages.Error,
        headers={"Retry-After": "seconds"},
    ),
}
_WITH_BODY: Final[Mapping[int, Reply]] = {
    413: Reply(when="PAYLOAD_TOO_LARGE: the body is over 64 KiB", message=messages.Error),
    415: Reply(when="UNSUPPORTED_MEDIA_TYPE: the body is not JSON in UTF-8", message=messages.Error),
    422: Reply(when="IDEMPOTENCY_KEY_REUSED", message=messages.Error),
}
_NOT_FOUND: Final = Reply(when="NOT_FOUND: the order was not found", message=messages.Error)

CANCEL: Final = Operation(
    name="cancelOrder",
    method="POST",
    path=PATH + "/",
    summary="Cancel an order",
    description=(
        "Needs the `cancel` permission, the credentials that created the order, a valid state and no payment. "
        "The same call is served without the trailing slash. 403, 404, 400 and 409 are documented; the others are ours."
    ),
    request=messages.CancelRequest,
    parameters=(IDEMPOTENCY_KEY,),
    replies={
        **_COMMON,
        **_WITH_BODY,
        200: Reply(when="The whole order, cancelled", message=messages.Order, media_type=HAL),
        400: Reply(when="BAD_REQUEST: the order or the reason is missing or does not hold", message=messages.Error),
        403: Reply(when="FORBIDDEN: no cancel permission, or the order has a payment", message=messages.Error),
        404: _NOT_FOUND,
        409: Reply(when="ORDER_ALREADY_CANCELED: the order is already canceled", message=messages.Error),
    },
)


def routes(addresses: Addresses) -> tuple[Route, ...]:
    """The calls, spoken with these addresses."""

    async def create(call: Call, services: Services) -> Answer:
        client = await _caller(call, services, Permission.CREATE)
        check_media_type(call.headers, also=(HAL,))
        key = idempotency_key(call.headers, "POST", _ORDERS, call.body)
        wanted = _wanted(read(messages.CreateRequest, decode(call.body)), addresses)

        async def place(tx: Transaction) -> bytes:
            view = await place_ticket_order(tx, client.id, wanted, services.clock())
            location = addresses.order(view.order.uid or "").encode()
            return stored(order_answer(201, view, addresses, headers=((b"location", location),)))

        return restored(await once(services.store, services.clock, client.id, key, place, _refused))

    async def read_one(call: Call, services: Services) -> Answer:
        client = await _caller(call, services, Permission.READ)
        return order_answer(200, await read_order(services.store, _order_id(call), owner=client.id), addresses)

    async def cancellability(call: Call, services: Services) -> Answer:
        client = await _caller(call, services, Permission.READ)
        explanation = await explain(services.store, services.policies, services.clock, _order_id(call), owner=client.id)
        return cancellability_answer(explanation, addresses)

    return (
        Route(
            operation=Operation(
                name="createOrder",
                method="POST",
                path=_ORDERS,
                summary="Place an order",
                description="Takes the tickets off the stock. The fields that a cancellation needs; more will follow.",
                request=messages.CreateRequest,
                parameters=(IDEMPOTENCY_KEY,),
                replies={
                    **_COMMON,
                    **_WITH_BODY,
                    201: Reply(
                        when="The order as it was created",
                        message=messages.Order,
                        media_type=HAL,
                        headers={"Location": "the order's uri"},
                    ),
                    400: Reply(
                        when="BAD_REQUEST, PAYMENT_METHOD_MISSING, …: the request does not hold", message=messages.Error
                    ),
                    404: Reply(when="PRODUCT_NOT_AVAILABLE: there is no such product", message=messages.Error),
                    409: Reply(when="INSUFFICIENT_PRODUCTS: too few are left", message=messages.Error),
                },
            ),
            handle=create,
        ),
        Route(
            operation=Operation(
                name="readOrder",
                method="GET",
                path=_ORDER,
                summary="Read an order",
                description="One of the caller's own orders.",
                parameters=(_UID,),
                replies={
                    **_COMMON,
                    200: Reply(when="The order", message=messages.Order, media_type=HAL),
                    404: _NOT_FOUND,
                },
            ),
            handle=read_one,
        ),
        Route(
            operation=Operation(
                name="explainOrder",
                method="GET",
                path=_ORDER + "/cancellability",
                summary="May this order be cancelled, why not, until when?",
                description="Ours: not part of the published contract. Changes nothing.",
                parameters=(_UID,),
                replies={
                    **_COMMON,
                    200: Reply(when="The decision", message=messages.Cancellability, media_type=HAL),
                    404: _NOT_FOUND,
                },
            ),
            handle=cancellability,
        ),
    )


def _refused(error: ConflictError) -> bytes | None:
    """A business refusal is kept under its key; a request that is wrong by itself (400, 404) is not."""
    answer = error_answer(error)
    return stored(answer) if answer.status == HTTPStatus.CONFLICT else None


def _wanted(request: messages.CreateRequest, addresses: Addresses) -> TicketOrder:
    """The request as the action wants it. Raises `FieldsError` for addresses and amounts that do not hold."""
    errors: list[tuple[str, str]] = []
    lines = []
    for index, selection in enumerate(request.products):
        uid = addresses.uid_of_product(selection.product)
        if uid is None:
            path, like = f"products[{index}].product", addresses.product("<uid>")
            errors.append((path, f"{path} must be the uri of a product, like {like}, not {shown(selection.product)}"))
        else:
            lines.append(Line(product_uid=uid, quantity=selection.quantity))
    external: list[dict[str, Any]] = []
    for index, purchase in enumerate(request.external_purchases):
        try:
            money = Money.of(purchase.unit_price.amount, purchase.unit_price.currency)
        except ValueError as error:
            path = f"external_purchases[{index}].unit_price"
            errors.append((path, f"{path}: {error}"))
            continue
        external.append(
            {
                "title": purchase.title,
                "product_reference": purchase.product_reference,
                "unit_price_minor": money.minor,
                "currency": money.currency,
                "quantity": purchase.quantity,
            }
        )
    if errors:
        raise FieldsError(errors)
    return TicketOrder(
        lines=lines,
        payment_method_uid=request.payment_method,
        shipping_method_uid=request.shipping_method,
        details={
            "consumer": msgspec.to_builtins(request.consumer),
            "external_purchases": external,
            "external_reference": request.external_reference,
            "redirect_url": request.redirect_url,
        },
    )


async def _caller(call: Call, services: Services, permission: Permission) -> Client:
    client = await services.authenticator.client(Door.SHOPPING, basic(call.headers))
    if not client.may(permission):
        raise ForbiddenError(f"Forbidden. No {permission} permission.")
    return client


def _order_id(call: Call) -> OrderId:
    uid = call.path_parameters["uid"]
    if not re.fullmatch(UID_PATTERN, uid):
        raise NotFoundError("there is no such order")
    return order_id_of(uid)
