"""What do all calls of the operator's API have in common? Who calls, what they are about, what is answered to what."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.ports import Transaction
from countermand.actions.run_idempotently import run_idempotently
from countermand.contracts.http.answer import Answer, ForbiddenError, check_media_type, restored, stored
from countermand.contracts.http.calls import Call, Route, Services
from countermand.contracts.http.cancel_endpoint import bearer
from countermand.contracts.http.idempotency import idempotency_key
from countermand.contracts.http.openapi import IDEMPOTENCY_KEY, Operation, Reply, parameter
from countermand.contracts.manage import messages
from countermand.contracts.manage.translate import problem_answer
from countermand.domain.client import Client, Permission
from countermand.domain.contract import MANAGE
from countermand.domain.orders.order import UID_PATTERN, OrderId, order_id_from, order_id_of

Given = TypeVar("Given")

ROOT: Final = "/manage/v1"
ORDER: Final = ROOT + "/orders/{id}"
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

ID: Final = parameter(
    "id",
    "path",
    "The order's number, or its uid (32 characters)",
    {"type": "string", "pattern": "^([0-9]{1,19}|[0-9a-z]{32})$"},
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


async def change(
    call: Call,
    services: Services,
    given_in: Callable[[Call], Given],
    do: Callable[[Transaction, Client, Given], Awaitable[Answer]],
) -> Answer:
    """Record something, in one transaction, once under one key; what cannot be read never gets that far."""
    client = await caller(call, services, Permission.RECORD)
    check_media_type(call.headers)
    key = idempotency_key(call.headers, call.method, call.path, call.body)
    given = given_in(call)

    async def run(tx: Transaction) -> bytes:
        return stored(await do(tx, client, given))

    return restored(
        await run_idempotently(
            services.store, services.clock, client.id, key, run, lambda error: stored(problem_answer(error))
        )
    )


async def caller(call: Call, services: Services, permission: Permission) -> Client:
    """Who calls, if they may do this. Raises our errors."""
    client = await services.authenticator.client(MANAGE, bearer(call.headers))
    if not client.may(permission):
        raise ForbiddenError(f"the permission {permission} is needed")
    return client


def order_id_in(call: Call) -> OrderId:
    """A number, or a uid: 32 digits are a uid, too."""
    given = call.path_parameters["id"]
    order_id = order_id_of(given) if re.fullmatch(UID_PATTERN, given) else order_id_from(given)
    if order_id is None:
        raise NotFoundError("there is no such order")
    return order_id


def nothing(_: Call) -> None:
    """What is given where nothing is."""


def in_range(name: str, instant: datetime) -> datetime:
    """An instant in UTC. Raises `FieldsError` for one that no order can have to do with."""
    if not _EARLIEST <= instant < _LATEST:
        said = instant.isoformat()
        raise FieldsError([(name, f"{name} must lie between the years 2000 and 2200, not on {said}")])
    return instant.astimezone(UTC)


def route(
    name: str,
    method: Literal["GET", "POST", "PUT", "DELETE"],
    path: str,
    summary: str,
    handle: Callable[[Call, Services], Awaitable[Answer]],
    good: Mapping[int, Reply],
    request: Any = None,
    *more: Mapping[str, Any],
    keeps_answers: bool = True,
) -> Route:
    """A call as it is described, with what all calls have: `good` are its own replies, `more` its own parameters.

    One that does not keep its answers takes no Idempotency-Key.
    """
    changes = method != "GET"
    about = (ID,) if path.startswith(ORDER) else ()
    parameters = (*about, *more, *((IDEMPOTENCY_KEY,) if changes and keeps_answers else ()))
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
