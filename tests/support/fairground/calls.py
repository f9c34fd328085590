"""The fairground's calls: place an order, read it, cancel it."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from countermand.actions import errors
from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.ordering.read_orders import read_order
from countermand.actions.ordering.views import Line, OrderView
from countermand.actions.ticketing.place import place_ticket_order
from countermand.actions.ticketing.rules import TicketOrder
from countermand.contracts.http.answer import (
    Answer,
    ForbiddenError,
    MethodNotAllowedError,
    NoSuchPathError,
    check_media_type,
    json_answer,
)
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.body import decode, read
from countermand.contracts.http.calls import CallContext, CallRules, ServiceCall, TransactionCall, body_of, no_body
from countermand.contracts.http.cancel_endpoint import Credential
from countermand.contracts.http.credentials import basic
from countermand.contracts.http.fingerprints import idempotency_key
from countermand.contracts.http.idempotency import key_in
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.store import Transaction
from countermand.domain.actor import Actor
from countermand.domain.client import Client, Permission
from countermand.domain.orders.order import UID_PATTERN, OrderId, order_id_of
from countermand.domain.orders.order_details import TicketOrderGiven
from countermand.domain.ticketing.consumer import Consumer
from support.fairground.contract import CHANNEL, NAME

PREFIX: Final = "/fairground/v1"
RIDES: Final = f"{PREFIX}/rides"
CANCEL: Final = f"{PREFIX}/cancel"


class RideWanted(msgspec.Struct, kw_only=True):
    """How many rides, on what, and how they are paid."""

    product: str
    quantity: int
    payment_method: str


class Ride(msgspec.Struct, kw_only=True):
    """An order as it stands."""

    uid: str
    state: str
    tickets: int


class CancelWanted(msgspec.Struct, kw_only=True):
    """Which order to cancel."""

    uid: str


class Problem(msgspec.Struct, kw_only=True):
    """Why not."""

    problem: list[str]


_STATUS: Final[Mapping[type[Exception], int]] = {
    errors.NotAuthenticatedError: 401,
    ForbiddenError: 403,
    errors.NotFoundError: 404,
    NoSuchPathError: 404,
    MethodNotAllowedError: 405,
    errors.ConflictError: 409,
    errors.FieldsError: 422,
    errors.UnavailableError: 503,
}


def error_answer(error: Exception) -> Answer:
    status = _STATUS.get(type(error), 500)
    return json_answer(status, Problem(problem=[str(error) if status < 500 else "not done"]))


def _shown(view: OrderView) -> Ride:
    return Ride(
        uid=view.order.uid or "",
        state=view.order.state.value,
        tickets=sum(one.valid for one in view.tickets),
    )


def _order_id(uid: str) -> OrderId:
    if not re.fullmatch(UID_PATTERN, uid):
        raise errors.NotFoundError("there is no such order")
    return order_id_of(uid)


async def _place(tx: Transaction, context: CallContext[RideWanted]) -> Answer:
    given, client_id = context.body, context.client.id
    wanted = TicketOrder(
        lines=[Line(product_uid=given.product, quantity=given.quantity)],
        payment_method_uid=given.payment_method,
        shipping_method_uid=None,
        given=TicketOrderGiven(consumer=Consumer(first_name="Jo")),
    )
    view = await place_ticket_order(tx, client_id, wanted, context.services.clock(), contract=NAME)
    return json_answer(201, _shown(view))


async def _read(context: CallContext[None]) -> Answer:
    order_id = _order_id(context.request.path_parameters["uid"])
    view = await read_order(context.services.store, order_id, contract=NAME, owner=context.client.id)
    return json_answer(200, _shown(view))


class FairgroundCancel:
    """Implements `CancelEndpoint`."""

    channel = CHANNEL
    shows_order = True
    paths = frozenset({CANCEL})

    def check_transport(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        if method != "POST":
            raise MethodNotAllowedError(method, ["POST"])
        check_media_type(headers)

    def credential(self, headers: Mapping[bytes, bytes]) -> Credential:
        return basic(headers)

    def command(
        self,
        client: Client,
        headers: Mapping[bytes, bytes],
        query: bytes,
        body: bytes,
        command_id: CommandId,
        address: str | None,
    ) -> CancelOrder:
        if not client.may(Permission.CANCEL):
            raise ForbiddenError("the permission cancel is needed")
        key = key_in(headers)
        uid = read(CancelWanted, decode(body)).uid
        return CancelOrder(
            command_id=command_id,
            order_id=_order_id(uid),
            order_name=f"{CHANNEL}-{uid}",
            actor=Actor(client.id, CHANNEL, address=address),
            idempotency=idempotency_key(key, "POST", CANCEL, query, body),
        )

    def notices(self, _: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        return ()

    def answer(self, outcome: CancelOutcome) -> Answer:
        if not isinstance(outcome, Cancelled):
            return json_answer(409, Problem(problem=[one.code for one in outcome.refused.broken]))
        assert outcome.view is not None
        return json_answer(200, _shown(outcome.view))

    def error(self, error: Exception) -> Answer:
        return error_answer(error)


def _operation(
    name: str, method: Any, path: str, permission: Permission, reply: tuple[int, Any], request: Any = None
) -> Operation:
    in_path = [parameter("uid", "path", "Its uid", {"type": "string"})] if "{uid}" in path else []
    status, message = reply
    replies = {status: Reply(when="Done", message=message), 401: Reply(when="Unknown", message=Problem)}
    return Operation(
        name=name,
        method=method,
        path=path,
        summary=name,
        description="A test's.",
        permission=permission,
        request=request,
        takes_key=request is not None,
        parameters=in_path,
        replies=replies,
    )


def api_module() -> ApiModule:
    return ApiModule(
        name=NAME,
        title="Fairground",
        about="A test's.",
        prefix=PREFIX,
        calls=(
            TransactionCall(
                operation=_operation("placeRide", "POST", RIDES, Permission.CREATE, (201, Ride), RideWanted),
                body=body_of(RideWanted),
                handle=_place,
            ),
            ServiceCall(
                operation=_operation("readRide", "GET", RIDES + "/{uid}", Permission.READ, (200, Ride)),
                body=no_body,
                handle=_read,
            ),
        ),
        rules=CallRules(
            channel=CHANNEL, credential=basic, error_answer=error_answer, kept_refusals=frozenset({HTTPStatus.CONFLICT})
        ),
        cancel=(
            FairgroundCancel(),
            _operation("cancelRide", "POST", CANCEL, Permission.CANCEL, (200, Ride), CancelWanted),
        ),
        security={"basic": {"type": "http", "scheme": "basic"}},
    )
