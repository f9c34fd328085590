"""Which orders does a caller see, and how? `GET /orders`, `GET /orders/{uid}` and, ours, an order's cancellability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from countermand.actions.cancelling.explain import explain
from countermand.actions.catalogue.ports import Condition, Op
from countermand.actions.ordering.read_orders import list_ticket_orders
from countermand.contracts.http.answer import HAL, Answer
from countermand.contracts.http.calls import Call, CallContext, OpenCall, OpenContext, ServiceCall, no_body
from countermand.contracts.http.openapi import Operation, Reply
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.access import OWN_CREDENTIAL, order_seen, owner_for
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, NOT_FOUND, UID, WRONG_QUERY
from countermand.contracts.shopping.contract import NAME
from countermand.contracts.shopping.hal import hal_list_answer, list_links, templated
from countermand.contracts.shopping.list_query import (
    INSTANT,
    PAGE_SIZE,
    PRICE,
    TEXT,
    FilterType,
    choice,
    parameters,
    parse_list_query,
    uri,
)
from countermand.contracts.shopping.orders.create import ORDERS
from countermand.contracts.shopping.orders.messages import EmbeddedOrders, OrderPage
from countermand.contracts.shopping.translate import cancellability_answer, order_answer, order_shown
from countermand.domain.client import Permission
from countermand.domain.orders.order_kind import OrderKind

_ORDER: Final = ORDERS + "/{uid}"
_READ: Final = Operation(
    name="readOrder",
    method="GET",
    path=_ORDER,
    summary="Read an order",
    description="One of the caller's own orders.",
    permission=Permission.READ,
    own_credential=OWN_CREDENTIAL,
    parameters=(UID,),
    replies={**FAILURES, 200: Reply(when="The order", message=messages.Order, media_type=HAL), 404: NOT_FOUND},
)
_EXPLAIN: Final = Operation(
    name="explainOrder",
    method="GET",
    path=_ORDER + "/cancellability",
    summary="Ask whether an order may be cancelled, why not, and until when",
    description="Ours: not part of the published contract. Changes nothing.",
    permission=Permission.READ,
    own_credential=OWN_CREDENTIAL,
    parameters=(UID,),
    replies={
        **FAILURES,
        200: Reply(when="The decision with every finding", message=messages.Cancellability, media_type=HAL),
        404: NOT_FOUND,
    },
)


@dataclass(frozen=True, slots=True)
class OrderCalls:
    """`GET /orders`, `GET /orders/{uid}`, and the cancellability of an order."""

    addresses: Addresses

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on orders with their handlers."""
        listed = Operation(
            name="listOrders",
            method="GET",
            path=ORDERS,
            summary="List the caller's own orders, newest first, 500 on each page",
            description="Lists the orders that match all filters. `status` is another name for `state`.",
            permission=Permission.READ,
            needs_secret=True,
            parameters=parameters(_filters(self.addresses)),
            replies={
                **FAILURES,
                200: Reply(when="A page of orders", message=OrderPage, media_type=HAL),
                400: WRONG_QUERY,
            },
        )
        return (
            ServiceCall(operation=listed, body=no_body, handle=self._list),
            OpenCall(operation=_READ, handle=self._read),
            OpenCall(operation=_EXPLAIN, handle=self._explain),
        )

    async def _list(self, context: CallContext[None]) -> Answer:
        addresses, filters = self.addresses, _filters(self.addresses)
        wanted = parse_list_query(context.request.query_string, filters)
        conditions = [one for given in wanted.conditions for one in _as_kept(given)]
        owner = owner_for(context.client)
        found = await list_ticket_orders(
            context.services.store, NAME, owner, conditions, offset=wanted.offset, at_most=PAGE_SIZE
        )
        links = list_links(addresses, addresses.public + ORDERS, "orders", wanted, found.total, filters)
        links["search"] = templated(f"{addresses.public}{ORDERS}{{?event,status,total,created}}")  # as documented
        return await hal_list_answer(
            found.items,
            lambda view: order_shown(view, addresses),
            lambda orders: OrderPage(links=links, item_count=found.total, embedded=EmbeddedOrders(orders=orders)),
        )

    async def _read(self, context: OpenContext) -> Answer:
        return order_answer(200, await order_seen(context), self.addresses)

    async def _explain(self, context: OpenContext) -> Answer:
        order_id, services = (await order_seen(context)).order.id, context.services
        explanation = await explain(services.store, services.policies, services.clock, order_id, owner=None)
        return cancellability_answer(explanation, self.addresses)


def _filters(addresses: Addresses) -> Mapping[str, FilterType]:
    """Return the filters of orders: the documented ones, and `status` and `total`, which the search link names."""
    state = choice([state.value for state in OrderKind.TICKET.states])
    return {
        "event": replace(uri(addresses.uid_of_event, addresses.event("<uid>")), suffixes=(Op.IN,)),
        "external_reference": TEXT,
        "state": state,
        "status": state,
        "created": replace(INSTANT, suffixes=(Op.LT, Op.LTE, Op.GT, Op.GTE)),
        "total": PRICE,  # in any currency, because the link has no parameter for it
    }


def _as_kept(condition: Condition) -> Sequence[Condition]:
    """Return a filter as conditions on stored orders."""
    if condition.field == "created":
        assert isinstance(condition.value, datetime), "the filter reads instants"
        return _created(condition.op, condition.value)
    return [replace(condition, field="state") if condition.field == "status" else condition]


def _created(op: Op, at: datetime) -> Sequence[Condition]:
    """Compare with `created_date` as answers show it, to the second, so that a shown value finds its order."""
    second = at.replace(microsecond=0)
    following = second + timedelta(seconds=1)
    from_then = second if at == second else following
    match op:
        case Op.LT:
            return [Condition("created", Op.LT, from_then)]
        case Op.GTE:
            return [Condition("created", Op.GTE, from_then)]
        case Op.LTE:
            return [Condition("created", Op.LT, following)]
        case Op.GT:
            return [Condition("created", Op.GTE, following)]
        case _:
            return [Condition("created", Op.GTE, from_then), Condition("created", Op.LT, following)]
