"""How does a partner create an order, read it, list its orders, and ask why one may not be cancelled?"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from countermand.actions.cancelling.explain import explain
from countermand.actions.errors import NotFoundError
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.actions.ordering.ports import OrdersWanted
from countermand.actions.ordering.read_orders import list_orders, read_order
from countermand.contracts.connect import messages
from countermand.contracts.connect.calls import VERSION, replies
from countermand.contracts.connect.contract import NAME
from countermand.contracts.connect.create import create_request
from countermand.contracts.connect.create_messages import CreateRequest
from countermand.contracts.connect.translate import cancellability_answer, order_answer, orders_answer
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.calls import (
    Call,
    CallContext,
    DecodedBody,
    Request,
    ServiceCall,
    TransactionCall,
    no_body,
)
from countermand.contracts.http.openapi import Operation, Reply, parameter, repeatable
from countermand.contracts.http.query import Query
from countermand.contracts.http.store import Transaction
from countermand.domain.client import Permission
from countermand.domain.orders.order import OrderId, order_id_from
from countermand.domain.orders.order_details import PlanSnapshot, ServiceOrderDetails
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState

ORDERS: Final = "/api/connect/orders"
_CREATE: Final = ORDERS + "/create"
ORDER: Final = ORDERS + "/{id}"
ID: Final = parameter("id", "path", "The order's id", {"type": "integer", "format": "int64"})

_PAGE: Final = 50
_LARGEST_PAGE: Final = 200
_STATES: Final = OrderKind.SERVICE.states


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The operator's description of a plan: its charges in Australian dollars, and its speeds in Mbit/s."""

    one_time_charge: Decimal
    monthly_charge: Decimal
    speed_down_mbit_s: int | None = None
    speed_up_mbit_s: int | None = None


class ConnectOrders:
    """The calls on orders. If `plans` describes plans, by name, orders can be placed for these plans only."""

    def __init__(self, plans: Mapping[str, Plan]) -> None:
        self._plans = plans

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on orders with their handlers."""
        return (
            TransactionCall(operation=_CREATE_ORDER, body=self._wanted, handle=self._create),
            ServiceCall(operation=_LIST_ORDERS, body=no_body, handle=_list_orders),
            ServiceCall(operation=_READ_ORDER, body=no_body, handle=_read_order),
            ServiceCall(operation=_EXPLAIN_ORDER, body=no_body, handle=_explain_order),
        )

    def _wanted(self, given: DecodedBody) -> CreateRequest:
        return create_request(given.json, given.version, self._plans)

    async def _create(self, tx: Transaction, context: CallContext[CreateRequest]) -> Answer:
        plan = self._plans.get(context.body.planName)
        details = replace(
            msgspec.convert(msgspec.to_builtins(context.body), ServiceOrderDetails),
            plan=None if plan is None else _snapshot(plan),
        )
        now = context.services.clock()
        view = await place_service_order(tx, context.client.id, details, now, contract=NAME)
        location = f"{context.services.public_url}{ORDERS}/{view.order.id}"
        return order_answer(201, view, headers=((b"location", location.encode()),))


async def _read_order(context: CallContext[None]) -> Answer:
    order_id = order_id_in(context.request)
    return order_answer(200, await read_order(context.services.store, order_id, contract=NAME, owner=context.client.id))


async def _list_orders(context: CallContext[None]) -> Answer:
    query, services = Query(context.request.query_string), context.services
    at_most, wanted = _wanted_orders(query)
    found = await list_orders(services.store, context.client.id, wanted, at_most)
    following = None
    if found.last is not None:
        kept = [(name, query.several(name)) for name in query.names if name != "cursor"]
        after = [*kept, ("cursor", _cursor(found.last.created_at, found.last.id))]
        following = f"{services.public_url}{ORDERS}?{urlencode(after, doseq=True)}"
    return await orders_answer(found.items, following)


async def _explain_order(context: CallContext[None]) -> Answer:
    order_id, services = order_id_in(context.request), context.services
    return cancellability_answer(
        await explain(services.store, services.policies, services.clock, order_id, owner=context.client.id)
    )


def order_id_in(request: Request) -> OrderId:
    """Return the order id in a path. Raises `NotFoundError` for a number that no order can have."""
    order_id = order_id_from(request.path_parameters["id"])
    if order_id is None:
        raise NotFoundError("there is no such order")
    return order_id


def _snapshot(plan: Plan) -> PlanSnapshot:
    """Return a plan as it is when an order is placed."""
    return PlanSnapshot(
        one_time_charge=f"{plan.one_time_charge:.2f}",
        monthly_charge=f"{plan.monthly_charge:.2f}",
        speed_down_mbit_s=plan.speed_down_mbit_s,
        speed_up_mbit_s=plan.speed_up_mbit_s,
    )


def _wanted_orders(query: Query) -> tuple[int, OrdersWanted]:
    """Return how many orders a list wants, and which. Raises `FieldsError` with every wrong parameter."""
    at_most = _number(query, "limit", 1, _LARGEST_PAGE, _PAGE)
    wanted = OrdersWanted(
        states=_wanted_states(query),
        created_from=_instant(query, "createdFrom"),
        created_before=_instant(query, "createdBefore"),
        before=_place(query, "cursor"),
    )
    query.check()
    return at_most, wanted


def _number(query: Query, name: str, low: int, high: int, default: int) -> int:
    given = query.one(name)
    if given is None:
        return default
    if given.isascii() and given.isdigit() and len(given) < len(str(high)) + 1 and low <= int(given) <= high:
        return int(given)
    query.wrong(name, f"a whole number between {low} and {high}", given)
    return default


def _wanted_states(query: Query) -> frozenset[OrderState] | None:
    """Return the states of the wanted orders, or None for all. `status` may repeat, and has values between commas."""
    states: frozenset[OrderState] | None = None
    if given := query.several("status"):
        names = {name for some in given for name in some.split(",")}
        states = frozenset(state for state in _STATES if state.value in names)
        if len(states) != len(names):
            query.wrong("status", "some of " + ", ".join(state.value for state in _STATES), ",".join(given))
    flag = query.truth("isCancellable")
    if flag is None:
        return states
    fitting = frozenset(state for state in _STATES if (state in CANCELLABLE_STATES) == flag)
    return fitting if states is None else states & fitting


def _instant(query: Query, name: str) -> datetime | None:
    given = query.one(name)
    if given is None:
        return None
    try:
        instant = datetime.fromisoformat(given)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    query.wrong(name, "an instant with a time zone, like 2026-11-23T01:00:00Z", given)
    return None


def _place(query: Query, name: str) -> tuple[datetime, OrderId] | None:
    given = query.one(name)
    if given is None:
        return None
    try:
        at, number = base64.urlsafe_b64decode(given.encode()).decode().split(" ")
        order_id, instant = order_id_from(number), datetime.fromisoformat(at)
    except (ValueError, binascii.Error):
        order_id, instant = None, None
    if order_id is None or instant is None or instant.tzinfo is None:
        query.wrong(name, "the cursor in the `next` of an earlier page", given)
        return None
    return instant, order_id


def _cursor(created_at: datetime, order_id: OrderId) -> str:
    return base64.urlsafe_b64encode(f"{created_at.isoformat()} {order_id}".encode()).decode()


_CREATE_ORDER: Final = Operation(
    name="createOrder",
    method="POST",
    path=_CREATE,
    summary="Create an order",
    description="Creates an order and its service together.",
    permission=Permission.CREATE,
    request=CreateRequest,
    takes_key=True,
    parameters=(VERSION,),
    replies=replies(
        {
            201: Reply(when="The new order", message=messages.Order, headers={"Location": "the order's URL"}),
            422: Reply(when="One or more fields are invalid; the answer lists all of them", message=messages.Errors),
        },
        with_body=True,
    ),
)
_READ_ORDER: Final = Operation(
    name="readOrder",
    method="GET",
    path=ORDER,
    summary="Read an order",
    description="One of the caller's own orders. For another client's order, the answer is 404.",
    permission=Permission.READ,
    parameters=(ID, VERSION),
    replies=replies({200: Reply(when="The order", message=messages.Order)}),
)


def _filter(name: str, description: str, schema: Mapping[str, object]) -> dict[str, object]:
    return parameter(name, "query", description, schema, required=False)


_FILTERS: Final[Sequence[Mapping[str, object]]] = (
    repeatable(
        "status",
        "Only orders in one of these states. Repeat it, or separate the states by commas",
        {"type": "string", "enum": [state.value for state in _STATES]},
    ),
    _filter(
        "isCancellable", "Only orders whose state allows (true) or forbids (false) a cancellation", {"type": "boolean"}
    ),
    _filter("createdFrom", "Only orders created at or after this instant", {"type": "string", "format": "date-time"}),
    _filter("createdBefore", "Only orders created before this instant", {"type": "string", "format": "date-time"}),
    _filter(
        "limit",
        "The largest number of orders on a page",
        {"type": "integer", "minimum": 1, "maximum": _LARGEST_PAGE, "default": _PAGE},
    ),
    _filter("cursor", "Where the page begins; the previous page has it in `next`", {"type": "string"}),
)
_LIST_ORDERS: Final = Operation(
    name="listOrders",
    method="GET",
    path=ORDERS,
    summary="List orders",
    description="Ours: not part of the published contract. Lists the caller's own orders in pages, newest first.",
    permission=Permission.READ,
    parameters=(VERSION, *_FILTERS),
    replies=replies(
        {
            200: Reply(when="A page of orders", message=messages.Orders, headers={"Link": "the next page's address"}),
            422: Reply(
                when="One or more parameters are invalid; the answer lists all of them", message=messages.Errors
            ),
        }
    ),
)
_EXPLAIN_ORDER: Final = Operation(
    name="explainOrder",
    method="GET",
    path=ORDER + "/cancellability",
    summary="Ask whether an order may be cancelled, why not, and until when",
    description="Ours: not part of the published contract. Changes nothing.",
    permission=Permission.READ,
    parameters=(ID, VERSION),
    replies=replies({200: Reply(when="The decision with every finding", message=messages.Cancellability)}),
)
