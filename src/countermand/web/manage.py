"""The operator's own API, `/manage/v1`: read an order with its history, record what happened, cancel on behalf.

Ours throughout. Errors are problem details (RFC 9457). Whatever can change an answer takes the order's row first.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

from countermand.actions.cancel_orders import Cancelled
from countermand.actions.errors import FieldsError, NotFoundError, OutcomeUnknownError, UnavailableError
from countermand.actions.explain import explain
from countermand.actions.once import once
from countermand.actions.ports import CancelOrder, Transaction, new_command_id
from countermand.actions.read_orders import read_history
from countermand.actions.record_progress import (
    advance_order,
    cancel_appointment,
    move_appointment,
    record_payment,
    set_appointment,
)
from countermand.contracts.answer import Answer, ForbiddenError, check_media_type, json_answer, restored, stored
from countermand.contracts.body import decode, read, shown
from countermand.contracts.door import bearer
from countermand.contracts.idempotency import idempotency_key
from countermand.contracts.openapi import IDEMPOTENCY_KEY, Operation, Reply, parameter
from countermand.contracts.routing import Call, Route, Services
from countermand.domain.appointment import AppointmentId
from countermand.domain.client import Client, Permission
from countermand.domain.contract import Door
from countermand.domain.money import Money
from countermand.domain.order import UID_PATTERN, OrderId, order_id_from, order_id_of
from countermand.domain.order_state import Move
from countermand.web import manage_messages as messages
from countermand.web.manage_translate import (
    appointment_shown,
    decision_shown,
    order_shown,
    payment_shown,
    problem,
    problem_answer,
    refusal_answer,
)

Given = TypeVar("Given")

ROOT: Final = "/manage/v1"
_ORDER: Final = ROOT + "/orders/{id}"
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

_ID: Final = parameter(
    "id",
    "path",
    "The order's number, or its uid (32 characters)",
    {"type": "string", "pattern": "^([0-9]{1,19}|[0-9a-z]{32})$"},
)
_APPOINTMENT: Final = parameter("appointment", "path", "The appointment's id", {"type": "integer"})
_AT: Final = parameter(
    "at", "query", "Decide as at this instant instead of now", {"type": "string", "format": "date-time"}, required=False
)
_PROBLEMS: Final[Mapping[int, Reply]] = {
    status: Reply(when=when, message=messages.Problem, media_type=messages.PROBLEM_JSON)
    for status, when in {
        401: "The bearer token is missing or wrong",
        403: "The client has not the permission",
        404: "There is no such order or appointment",
        500: "Unexpected: done or not, a repeat settles it",
        503: "Certainly not done; worth asking again",
    }.items()
}
_CHANGES: Final[Mapping[int, Reply]] = {
    status: Reply(when=when, message=messages.Problem, media_type=messages.PROBLEM_JSON)
    for status, when in {
        400: "The JSON or the Idempotency-Key does not hold",
        409: "The order as it stands does not allow it",
        413: "The body is over 64 KiB",
        415: "The body is not JSON in UTF-8",
        422: "Fields do not hold: all of them",
    }.items()
}


async def _read_one(call: Call, services: Services) -> Answer:
    await _caller(call, services, Permission.READ)
    view, history = await read_history(services.store, _order_id(call))
    return json_answer(200, order_shown(view, history))


async def _cancellability(call: Call, services: Services) -> Answer:
    await _caller(call, services, Permission.READ)
    at = _instant("at", call.query["at"]) if "at" in call.query else None
    explanation = await explain(services.store, services.policies, services.clock, _order_id(call), owner=None, at=at)
    return json_answer(200, decision_shown(explanation))


async def _pay(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, given: tuple[str, Money]) -> Answer:
        recorded = await record_payment(tx, client.id, _order_id(call), *given, services.clock())
        if recorded.payment.is_late:
            said = (
                f"the order is {recorded.order.state}; the payment {recorded.payment.reference} is kept as late money"
            )
            return problem(409, "late_money", said)
        return json_answer(200 if recorded.repeated else 201, payment_shown(recorded.payment))

    return await _change(call, services, _payment, do)


async def _set_visit(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, times: tuple[datetime, datetime]) -> Answer:
        visit = await set_appointment(tx, client.id, _order_id(call), *times, services.clock())
        return json_answer(201, appointment_shown(visit))

    return await _change(call, services, _times, do)


async def _move_visit(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, times: tuple[datetime, datetime]) -> Answer:
        visit = await move_appointment(tx, client.id, _order_id(call), _appointment_id(call), *times, services.clock())
        return json_answer(200, appointment_shown(visit))

    return await _change(call, services, _times, do)


async def _cancel_visit(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, _: None) -> Answer:
        visit = await cancel_appointment(tx, client.id, _order_id(call), _appointment_id(call), services.clock())
        return json_answer(200, appointment_shown(visit))

    return await _change(call, services, _nothing, do)


async def _advance(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, client: Client, move: Move) -> Answer:
        order = await advance_order(tx, client.id, _order_id(call), move, services.clock())
        return json_answer(200, messages.State(state=order.state.value, version=order.version))

    return await _change(call, services, _move, do)


async def _cancel_order(call: Call, services: Services) -> Answer:
    client = await _caller(call, services, Permission.CANCEL)
    check_media_type(call.headers)
    key = idempotency_key(call.headers, call.method, call.path, call.body)
    given = read(messages.CancelGiven, decode(call.body))
    if not given.reason.strip():
        raise FieldsError([("reason", f"reason must say something, not {shown(given.reason)}")])
    outcome = await services.cancel(
        CancelOrder(
            command_id=new_command_id(),
            order_id=_order_id(call),
            client_id=client.id,
            door=Door.MANAGE,
            on_behalf=True,
            reason=given.reason,
            idempotency=key,
        )
    )
    if not isinstance(outcome, Cancelled):
        return refusal_answer(outcome.refused)
    try:
        view, history = await read_history(services.store, outcome.order_id)
    except UnavailableError as error:  # it is done, so "certainly not done" would be a lie
        raise OutcomeUnknownError(str(error)) from error
    return json_answer(200, order_shown(view, history))


async def _change(
    call: Call,
    services: Services,
    given_in: Callable[[Call], Given],
    do: Callable[[Transaction, Client, Given], Awaitable[Answer]],
) -> Answer:
    """Record something, in one transaction, once under one key; what cannot be read never gets that far."""
    client = await _caller(call, services, Permission.RECORD)
    check_media_type(call.headers)
    key = idempotency_key(call.headers, call.method, call.path, call.body)
    given = given_in(call)

    async def run(tx: Transaction) -> bytes:
        return stored(await do(tx, client, given))

    return restored(
        await once(services.store, services.clock, client.id, key, run, lambda error: stored(problem_answer(error)))
    )


async def _caller(call: Call, services: Services, permission: Permission) -> Client:
    client = await services.authenticator.client(Door.MANAGE, bearer(call.headers))
    if not client.may(permission):
        raise ForbiddenError(f"the permission {permission} is needed")
    return client


def _order_id(call: Call) -> OrderId:
    """A number, or a uid: 32 digits are a uid, too."""
    given = call.path_parameters["id"]
    order_id = order_id_of(given) if re.fullmatch(UID_PATTERN, given) else order_id_from(given)
    if order_id is None:
        raise NotFoundError("there is no such order")
    return order_id


def _appointment_id(call: Call) -> AppointmentId:
    number = order_id_from(call.path_parameters["appointment"])  # numbers of one kind: counted up from 1
    if number is None:
        raise NotFoundError("there is no such appointment")
    return AppointmentId(number)


def _nothing(_: Call) -> None:
    return None


def _payment(call: Call) -> tuple[str, Money]:
    given = read(messages.PaymentGiven, decode(call.body))
    try:
        return given.reference, Money.of(given.amount, given.currency)
    except ValueError as error:
        raise FieldsError([("amount", f"amount: {error}")]) from None


def _move(call: Call) -> Move:
    return Move(read(messages.MoveGiven, decode(call.body)).move)


def _times(call: Call) -> tuple[datetime, datetime]:
    given = read(messages.AppointmentGiven, decode(call.body))
    return _in_range("starts_at", given.starts_at), _in_range("ends_at", given.ends_at)


def _instant(name: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        like = "2026-11-23T01:00:00Z"
        raise FieldsError([(name, f"{name} must be an instant with a time zone, like {like}, not {shown(text)}")])
    return _in_range(name, instant)


def _in_range(name: str, instant: datetime) -> datetime:
    if not _EARLIEST <= instant < _LATEST:
        said = instant.isoformat()
        raise FieldsError([(name, f"{name} must lie between the years 2000 and 2200, not on {said}")])
    return instant.astimezone(UTC)


def _route(
    name: str,
    method: Literal["GET", "POST", "PUT", "DELETE"],
    path: str,
    summary: str,
    handle: Callable[[Call, Services], Awaitable[Answer]],
    good: Mapping[int, Reply],
    request: Any = None,
    *more: Mapping[str, Any],
) -> Route:
    changes = method != "GET"
    parameters = (_ID, *more, *((IDEMPOTENCY_KEY,) if changes else ()))
    replies = {**_PROBLEMS, **(_CHANGES if changes else {}), **good}
    if not changes:
        replies[422] = _CHANGES[422]
    return Route(
        operation=Operation(
            name=name,
            method=method,
            path=path,
            summary=summary,
            description="Ours.",
            request=request,
            parameters=parameters,
            replies=replies,
        ),
        handle=handle,
    )


_ORDER_REPLY: Final = {200: Reply(when="The order with its history", message=messages.Order)}
_APPOINTMENT_REPLY: Final = {200: Reply(when="The appointment as it stands", message=messages.Appointment)}
ROUTES: Final = (
    _route("readOrder", "GET", _ORDER, "Read an order with its history", _read_one, _ORDER_REPLY),
    _route(
        "explainOrder",
        "GET",
        _ORDER + "/cancellability",
        "May it be cancelled, why, until when? Changes nothing",
        _cancellability,
        {200: Reply(when="The decision with every finding", message=messages.Decision)},
        None,
        _AT,
    ),
    _route(
        "cancelOrder",
        "POST",
        _ORDER + "/cancel",
        "Cancel on the customer's behalf: the same policy, audited",
        _cancel_order,
        _ORDER_REPLY,
        messages.CancelGiven,
    ),
    _route(
        "recordPayment",
        "POST",
        _ORDER + "/payments",
        "Record a payment; for an order that has ended, 409, and it is kept as late money",
        _pay,
        {
            201: Reply(when="Recorded", message=messages.Payment),
            200: Reply(when="The provider had reported it before", message=messages.Payment),
        },
        messages.PaymentGiven,
    ),
    _route(
        "setAppointment",
        "POST",
        _ORDER + "/appointments",
        "Agree an appointment",
        _set_visit,
        {201: Reply(when="Agreed", message=messages.Appointment)},
        messages.AppointmentGiven,
    ),
    _route(
        "moveAppointment",
        "PUT",
        _ORDER + "/appointments/{appointment}",
        "Give an appointment another time",
        _move_visit,
        _APPOINTMENT_REPLY,
        messages.AppointmentGiven,
        _APPOINTMENT,
    ),
    _route(
        "cancelAppointment",
        "DELETE",
        _ORDER + "/appointments/{appointment}",
        "Call an appointment off",
        _cancel_visit,
        _APPOINTMENT_REPLY,
        None,
        _APPOINTMENT,
    ),
    _route(
        "advanceOrder",
        "POST",
        _ORDER + "/moves",
        "Advance an order to its next state",
        _advance,
        {200: Reply(when="The order's new state", message=messages.State)},
        messages.MoveGiven,
    ),
)
