"""The rules, descriptions and answers that all calls of the operator's API share."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Final, Literal

from msgspec import Struct

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.contracts.http.body import shown
from countermand.contracts.http.calls import CallRules, Request
from countermand.contracts.http.cancel_endpoint import bearer
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.query import Query
from countermand.contracts.manage import messages
from countermand.contracts.manage.order_ids import ORDER_ID_PATTERN, OrdersByName, order_named
from countermand.contracts.manage.translate import problem_answer
from countermand.domain.client import Permission
from countermand.domain.contract import MANAGE
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, order_id_from

ROOT: Final = "/manage/v1"
ORDERS: Final = ROOT + "/orders"
ORDER: Final = ORDERS + "/{id}"
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

ID: Final = parameter(
    "id",
    "path",
    "The order's id, such as connect-54, or its uid (32 characters). A bare number is refused with 422",
    {"type": "string", "pattern": ORDER_ID_PATTERN, "examples": ["connect-54"]},
)
_PROBLEMS: Final[Mapping[int, Reply]] = {
    status: Reply(when=when, message=messages.Problem, media_type=messages.PROBLEM_JSON)
    for status, when in {
        401: "The bearer token is missing or wrong",
        403: "The client does not have the permission",
        404: "The order, appointment or other resource does not exist",
        500: "Unexpected error. Whether the request was carried out is unknown; send it again to find out.",
        503: "Nothing was done. Send the request again.",
    }.items()
}
_CHANGES: Final[Mapping[int, Reply]] = {
    status: Reply(when=when, message=messages.Problem, media_type=messages.PROBLEM_JSON)
    for status, when in {
        400: "The JSON or the Idempotency-Key is invalid",
        409: "The current state of the order does not allow it",
        413: "The body is over 64 KiB",
        415: "The body is not JSON in UTF-8",
        422: "One or more fields are invalid; the answer lists all of them",
    }.items()
}


RULES: Final = CallRules(
    channel=MANAGE,
    credential=bearer,
    error_answer=problem_answer,
    kept_refusals=frozenset({HTTPStatus.CONFLICT}),
    takes_acting_as=True,
    refuses_other_parameters=True,
)


async def order_in(reading: OrdersByName, request: Request) -> Order:
    """Return the order that the path names. Raises `NotFoundError`, and `FieldsError` for a bare number."""
    return await order_named(reading, request.path_parameters["id"])


def number_in(request: Request, name: str) -> int:
    """Return a number of the path, as the service writes it: without zeros at its front. Raises `NotFoundError`."""
    given = request.path_parameters[name]
    number = None if given.startswith("0") else order_id_from(given)  # an order's number has the same limits
    if number is None:
        raise NotFoundError(f"there is no such {name}")
    return number


def after_in(request: Request) -> str | None:
    """Return the parameter `after`, which says where a page begins. Raises `FieldsError` if it is there twice."""
    query = Query(request.query_string)
    after = query.one("after")
    query.check()
    return after


def instant_asked(query: Query, name: str) -> datetime | None:
    """Return a parameter that is an instant, or None if it is not there. A wrong value is noted as an error."""
    given = query.one(name)
    if given is None:
        return None
    try:
        return instant_in(name, given)
    except FieldsError as error:
        query.errors += error.errors
        return None


def in_range(name: str, instant: datetime) -> datetime:
    """Return an instant in UTC. Raises `FieldsError` for an instant that no order can have."""
    if not _EARLIEST <= instant < _LATEST:
        said = instant.isoformat()
        raise FieldsError([(name, f"{name} must lie between the years 2000 and 2200, not on {said}")])
    return instant.astimezone(UTC)


def instant_in(name: str, text: str) -> datetime:
    """Return the instant of a parameter. Raises `FieldsError` for anything but an instant that an order can have."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        like = "2026-11-23T01:00:00Z"
        raise FieldsError([(name, f"{name} must be an instant with a time zone, like {like}, not {shown(text)}")])
    return in_range(name, instant)


def check_visible(field: str, text: str) -> None:
    """Raise `FieldsError` for a text of a field that nobody can see."""
    if not text.strip():
        raise FieldsError([(field, f"{field} must have a visible character, not {shown(text)}")])


def check_reason(reason: str) -> None:
    """Raise `FieldsError` for a reason that nobody can see."""
    check_visible("reason", reason)


def check_reference(reference: str) -> None:
    """Raise `FieldsError` for a reference that nobody can read: without a visible character, or with invisible ones.

    These are line ends, other control characters, marks without width, and blanks other than the space.
    """
    check_visible("reference", reference)
    if not reference.isprintable():
        said = f"reference must have visible characters and spaces alone, not {shown(reference)}"
        raise FieldsError([("reference", f"{said}; nothing was recorded; write it as the provider shows it")])


def money_in(amount: Decimal | int, currency: str) -> Money:
    """Return the money of a body. Raises `FieldsError` for an amount or a currency that cannot be recorded."""
    try:
        return Money.of(amount, currency)
    except ValueError as error:
        raise FieldsError([("amount", f"amount: {error}")]) from None


def operation(
    name: str,
    method: Literal["GET", "POST", "PUT", "DELETE"],
    path: str,
    summary: str,
    permission: Permission,
    good: Mapping[int, Reply],
    *,
    request: type[Struct] | None = None,
    parameters: Sequence[Mapping[str, object]] = (),
    or_permission: Permission | None = None,
    takes_key: bool = True,
    answers_secret: bool = False,
    conflicts: bool = True,
    may_lack_body: bool = False,
) -> Operation:
    """Return the description of a call, with what all calls have; `good` and `parameters` are its own.

    A call that changes something takes an Idempotency-Key, unless its answers are not stored, and the header Acting-As.
    With `answers_secret`, the answer is never stored. With `conflicts`, a state may forbid the change. With
    `or_permission`, that permission suffices, too.
    """
    changes = method != "GET"
    replies = {**_PROBLEMS, **(_CHANGES if changes else {}), **good}
    if changes and not conflicts:
        del replies[409]
    replies.setdefault(422, _CHANGES[422])
    return Operation(
        name=name,
        method=method,
        path=path,
        summary=summary,
        description="Ours.",
        permission=permission,
        or_permission=or_permission,
        request=request,
        may_lack_body=may_lack_body,
        takes_key=changes and takes_key and not answers_secret,
        answers_secret=answers_secret,
        takes_acting_as=changes,
        parameters=(*((ID,) if path.startswith(ORDER) else ()), *parameters),
        replies=replies,
    )
