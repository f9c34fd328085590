"""Finding orders in the operator's API: by what a customer knows of them, and by filters."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from countermand.actions.ordering.find_orders import (
    OrdersFound,
    SearchPlace,
    find_orders,
    list_all_orders,
)
from countermand.actions.ordering.search_ports import OfTime, OrderFilters, OrderSearch, OrderSummary
from countermand.actions.ports import Snapshots
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.calls import Call, CallContext, ServiceCall, no_body
from countermand.contracts.http.openapi import Reply, parameter, repeatable
from countermand.contracts.http.query import Query
from countermand.contracts.manage import search_messages as messages
from countermand.contracts.manage.calls import ORDERS, instant_asked, operation
from countermand.contracts.manage.filters import (
    client_asked,
    code_asked,
    contract_asked,
    matching,
    number_asked,
)
from countermand.contracts.manage.order_ids import order_id_text
from countermand.domain.cancelling.rules import CODE_PATTERN
from countermand.domain.client import COMMAND_LINE, LARGEST_CLIENT_ID, ClientId, Permission
from countermand.domain.contract import CONTRACT_NAME_PATTERN
from countermand.domain.orders.order import UID_PATTERN, order_id_from
from countermand.domain.orders.order_state import OrderState
from countermand.domain.staff_id import STAFF_ID_PATTERN, StaffId, staff_id_from

PAGE: Final = 50
_LARGEST_PAGE: Final = 200
_STATES: Final = [state.value for state in OrderState]


async def _find(context: CallContext[None]) -> Answer:
    return json_answer(200, await orders_found(context.services.store, Query(context.request.query_string)))


async def orders_found(store: Snapshots[OrderSearch], query: Query) -> messages.OrdersFound:
    """Return the page of orders that the parameters ask for. Raises `FieldsError` with every error in them."""
    text, filters, at_most = query.one("q"), _filters(query), number_asked(query, "limit", _LARGEST_PAGE) or PAGE
    after = _after(query, is_search=text is not None)
    query.check()
    return _page(await _found(store, text, filters, after, at_most))


async def _found(
    store: Snapshots[OrderSearch],
    text: str | None,
    filters: OrderFilters,
    after: SearchPlace | OfTime | None,
    at_most: int,
) -> OrdersFound:
    if text is None:
        assert not isinstance(after, SearchPlace), "a list has places in time"
        return await list_all_orders(store, filters, after, at_most)
    assert after is None or isinstance(after, SearchPlace), "a search has places among handles"
    return await find_orders(store, text, filters, after, at_most)


def _page(page: OrdersFound) -> messages.OrdersFound:
    following = None if page.following is None else _cursor(page.following)
    return messages.OrdersFound(orders=[_shown(one) for one in page.items], next=following)


def _shown(found: OrderSummary) -> messages.OrderFound:
    order = found.order
    return messages.OrderFound(
        id=order_id_text(order),
        contract=order.contract,
        reference=order.reference,
        state=order.state.value,
        client_id=order.client_id,
        placed_at=order.created_at,
        name=found.name,
        appointment_starts_at=order.facts.appointment_starts_at,
        first_payment_at=order.facts.first_payment_at,
    )


def _filters(query: Query) -> OrderFilters:
    return OrderFilters(
        contract=contract_asked(query),
        client_id=client_asked(query),
        states=_wanted_states(query),
        event_uid=matching(query, "event", UID_PATTERN, "an event's uid, 32 characters"),
        product_uid=matching(query, "product", UID_PATTERN, "a product's uid, 32 characters"),
        placed_from=instant_asked(query, "placed_from"),
        placed_until=instant_asked(query, "placed_until"),
        has_appointment=query.truth("appointment"),
        appointment_from=instant_asked(query, "appointment_from"),
        appointment_until=instant_asked(query, "appointment_until"),
        is_paid=query.truth("paid"),
        cancelled_by=_client_or_person(query, "cancelled_by"),
        refused_code=code_asked(query, "refused_code"),
    )


def _client_or_person(query: Query, name: str) -> ClientId | StaffId | None:
    given = query.one(name)
    person = None if given is None else staff_id_from(given)
    number = None if given is None else order_id_from(given)
    if given is None or person is not None:
        return person
    if given == str(COMMAND_LINE):
        return COMMAND_LINE
    if number is not None and number <= LARGEST_CLIENT_ID:
        return ClientId(number)
    query.wrong(name, "the number of a client or the id of a person", given)
    return None


def _wanted_states(query: Query) -> frozenset[str] | None:
    given = query.several("state")
    if not given:
        return None
    names = {name for some in given for name in some.split(",")}
    if names <= set(_STATES):
        return frozenset(names)
    query.wrong("state", "some of " + ", ".join(_STATES), ",".join(given))
    return None


def _after(query: Query, *, is_search: bool) -> SearchPlace | OfTime | None:
    given = query.one("after")
    if given is None:
        return None
    place = _place(given, is_search=is_search)
    if place is None:
        query.wrong("after", "the next of an earlier page of the same list", given)
    return place


def _cursor(place: SearchPlace | OfTime) -> str:
    if isinstance(place, SearchPlace):
        written = [place.span, place.handle, str(place.order_id)]
    else:
        written = [place[0].isoformat(), str(place[1])]
    return base64.urlsafe_b64encode(msgspec.json.encode(written)).decode().rstrip("=")


def _place(cursor: str, *, is_search: bool) -> SearchPlace | OfTime | None:
    try:
        read = base64.urlsafe_b64decode(cursor.encode() + b"==")
        *key, digits = msgspec.json.decode(read, type=list[str])
        order_id = order_id_from(digits)
        if order_id is None or len(key) != (2 if is_search else 1) or "\0" in "".join(key):
            return None
        if is_search:
            return SearchPlace(span=key[0], handle=key[1], order_id=order_id)
        at = datetime.fromisoformat(key[0])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None
    return None if at.tzinfo is None else (at, order_id)


def _filter(name: str, description: str, schema: Mapping[str, object]) -> Mapping[str, object]:
    return parameter(name, "query", description, schema, required=False)


def _time(name: str, description: str) -> Mapping[str, object]:
    return _filter(name, description, {"type": "string", "format": "date-time"})


_UID: Final = {"type": "string", "pattern": f"^{UID_PATTERN}$", "examples": ["0" * 32]}
_CLIENT_ID: Final = {"type": "integer", "minimum": 1, "maximum": LARGEST_CLIENT_ID}
_PARAMETERS: Final[Sequence[Mapping[str, object]]] = (
    _filter(
        "q",
        "What the customer knows: a number, a reference, a ticket's code, an appointment's id, an e-mail address, a "
        "phone number, a payment's reference, an address of ours, or the beginnings of words of a name. Several words "
        "must all fit",
        {"type": "string", "examples": ["jo citizen"]},
    ),
    _filter(
        "contract",
        "Only orders of this contract",
        {"type": "string", "pattern": f"^{CONTRACT_NAME_PATTERN}$", "examples": ["connect"]},
    ),
    _filter("client", "Only orders of the client with this id", _CLIENT_ID),
    repeatable(
        "state",
        "Only orders in one of these states. Repeat it, or separate the states by commas",
        {"type": "string", "enum": _STATES},
    ),
    _filter("event", "Only orders for the event with this uid", _UID),
    _filter("product", "Only orders of the product with this uid", _UID),
    _time("placed_from", "Only orders placed at or after this instant"),
    _time("placed_until", "Only orders placed before this instant"),
    _filter("appointment", "Only orders that have an active appointment (true) or none (false)", {"type": "boolean"}),
    _time("appointment_from", "Only orders with an active appointment that starts at or after this instant"),
    _time("appointment_until", "Only orders with an active appointment that starts before this instant"),
    _filter("paid", "Only orders with a recorded payment (true) or without (false)", {"type": "boolean"}),
    _filter(
        "cancelled_by",
        "Only orders that this client (its number; 0 for the command line) or this person at the desk (the id) "
        "cancelled",
        {"type": "string", "pattern": f"^(0|[1-9][0-9]{{0,9}}|{STAFF_ID_PATTERN})$", "examples": ["kim"]},
    ),
    _filter(
        "refused_code",
        "Only orders of which a cancellation was refused with this code. Refusals of older versions count as soon as "
        "a background task has filled their codes",
        {"type": "string", "pattern": f"^{CODE_PATTERN}$", "examples": ["payment_recorded"]},
    ),
    _filter(
        "limit",
        "The largest number of orders on a page",
        {"type": "integer", "minimum": 1, "maximum": _LARGEST_PAGE, "default": PAGE},
    ),
    _filter("after", "Where the page begins: the `next` of the previous page", {"type": "string"}),
)
CALLS: Final[tuple[Call, ...]] = (
    ServiceCall(
        operation=operation(
            "findOrders",
            "GET",
            ORDERS,
            "Find orders by what a customer knows, exact hits first; or list all orders, newest first",
            Permission.READ,
            {200: Reply(when="A page of orders, which may be short before the end", message=messages.OrdersFound)},
            parameters=_PARAMETERS,
        ),
        body=no_body,
        handle=_find,
    ),
)
