"""The connect contract's calls: what each is for, and what it does."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.explain import explain
from countermand.actions.once import once
from countermand.actions.place_orders import place_service_order
from countermand.actions.ports import Transaction
from countermand.actions.read_orders import read_order
from countermand.contracts.answer import Answer, ForbiddenError, check_media_type, restored, stored
from countermand.contracts.body import decode, read
from countermand.contracts.connect import messages
from countermand.contracts.connect.cancel import PATH
from countermand.contracts.connect.translate import cancellability_answer, error_answer, order_answer
from countermand.contracts.connect.versions import AGGREGATION_METHOD_REQUIRED_FROM, HEADER, version_of
from countermand.contracts.door import bearer
from countermand.contracts.idempotency import idempotency_key
from countermand.contracts.openapi import IDEMPOTENCY_KEY, Operation, Reply, parameter
from countermand.contracts.routing import Call, Route, Services
from countermand.domain.client import Client, Permission
from countermand.domain.contract import Door
from countermand.domain.order import OrderId, order_id_from

_CREATE: Final = "/api/connect/orders/create"
_ORDER: Final = "/api/connect/orders/{id}"

_VERSION: Final = parameter(
    HEADER,
    "header",
    "The version of the endpoint you are accessing. 1 and 2 are deprecated and still work.",
    {"type": "string", "enum": [str(number) for number in range(1, 9)]},
)
_ID: Final = parameter("id", "path", "The order's id", {"type": "integer", "format": "int64"})
_COMMON: Final[Mapping[int, Reply]] = {
    400: Reply(when="The header X-API-VERSION, the Idempotency-Key or the JSON does not hold", message=messages.Errors),
    401: Reply(when="Bearer Token missing or invalid", message=messages.Errors, headers={"WWW-Authenticate": "Bearer"}),
    404: Reply(when="You are not authorised or the id provided does not exist", message=messages.Errors),
    500: Reply(when="There was an unexpected error processing the request", message=messages.Errors),
    503: Reply(
        when="Certainly not done; worth asking again", message=messages.Errors, headers={"Retry-After": "seconds"}
    ),
}
_WITH_BODY: Final[Mapping[int, Reply]] = {
    413: Reply(when="The body is over 64 KiB", message=messages.Errors),
    415: Reply(when="The body is not JSON in UTF-8", message=messages.Errors),
}

CANCEL: Final = Operation(
    name="cancelOrder",
    method="POST",
    path=PATH,
    summary="Cancel an order",
    description=(
        "You can cancel an order if it is cancelable and has no active appointment, or one not within 26 hours of now. "
        "Done when the answer arrives. 200, 401, 404 and 500 are documented; the others are inferred."
    ),
    request=messages.CancelRequest,
    parameters=(_VERSION, IDEMPOTENCY_KEY),
    replies={
        **_COMMON,
        **_WITH_BODY,
        200: Reply(when="The request is complete."),
        422: Reply(
            when="A field does not hold, or the order may not be cancelled: every reason", message=messages.Errors
        ),
    },
)


async def _create(call: Call, services: Services) -> Answer:
    client = await _caller(call, services, Permission.CREATE)
    version = version_of(call.headers)
    check_media_type(call.headers)
    key = idempotency_key(call.headers, "POST", _CREATE, call.body)
    wanted = read(messages.CreateRequest, decode(call.body))
    if version >= AGGREGATION_METHOD_REQUIRED_FROM and wanted.aggregationMethod is None:
        raise FieldsError([("aggregationMethod", "aggregationMethod is missing; it is required from version 4 on")])
    details: dict[str, Any] = msgspec.to_builtins(wanted)

    async def place(tx: Transaction) -> bytes:
        view = await place_service_order(tx, client.id, details, services.clock())
        location = f"{services.public_url}/api/connect/orders/{view.order.id}"
        return stored(order_answer(201, view, headers=((b"location", location.encode()),)))

    return restored(
        await once(services.store, services.clock, client.id, key, place, lambda error: stored(error_answer(error)))
    )


async def _read(call: Call, services: Services) -> Answer:
    client = await _caller(call, services, Permission.READ)
    version_of(call.headers)
    return order_answer(200, await read_order(services.store, _order_id(call), owner=client.id))


async def _cancellability(call: Call, services: Services) -> Answer:
    client = await _caller(call, services, Permission.READ)
    version_of(call.headers)
    explanation = await explain(services.store, services.policies, services.clock, _order_id(call), owner=client.id)
    return cancellability_answer(explanation)


async def _caller(call: Call, services: Services, permission: Permission) -> Client:
    client = await services.authenticator.client(Door.CONNECT, bearer(call.headers))
    if not client.may(permission):
        raise ForbiddenError(f"the permission {permission} is needed")
    return client


def _order_id(call: Call) -> OrderId:
    order_id = order_id_from(call.path_parameters["id"])
    if order_id is None:
        raise NotFoundError("there is no such order")
    return order_id


ROUTES: Final = (
    Route(
        operation=Operation(
            name="createOrder",
            method="POST",
            path=_CREATE,
            summary="Create an order",
            description="Creates an order and its service together: the fields that a cancellation needs, so far.",
            request=messages.CreateRequest,
            parameters=(_VERSION, IDEMPOTENCY_KEY),
            replies={
                **_COMMON,
                **_WITH_BODY,
                201: Reply(
                    when="The order as it was created", message=messages.Order, headers={"Location": "the order's URL"}
                ),
                422: Reply(when="Fields do not hold: all of them", message=messages.Errors),
            },
        ),
        handle=_create,
    ),
    Route(
        operation=Operation(
            name="readOrder",
            method="GET",
            path=_ORDER,
            summary="Read an order",
            description="One of the caller's own orders. Another client's is as unknown as one that is not there.",
            parameters=(_ID, _VERSION),
            replies={**_COMMON, 200: Reply(when="The order", message=messages.Order)},
        ),
        handle=_read,
    ),
    Route(
        operation=Operation(
            name="explainOrder",
            method="GET",
            path=_ORDER + "/cancellability",
            summary="May this order be cancelled, why not, until when?",
            description="Ours: not part of the published contract. Changes nothing.",
            parameters=(_ID, _VERSION),
            replies={**_COMMON, 200: Reply(when="The decision", message=messages.Cancellability)},
        ),
        handle=_cancellability,
    ),
)
