"""`/consumers`: how does a client store people, so that its orders can name them by uid?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from countermand.actions.catalogue.ports import Condition, FilterValue, Op
from countermand.actions.ticketing.consumers import keep_consumer, list_consumers, read_consumer
from countermand.actions.ticketing.ports import KnownConsumer
from countermand.contracts.http.answer import HAL, Answer, json_answer
from countermand.contracts.http.body import read
from countermand.contracts.http.calls import (
    Call,
    CallContext,
    DecodedBody,
    ServiceCall,
    TransactionCall,
    no_body,
)
from countermand.contracts.http.openapi import Operation, Reply
from countermand.contracts.http.store import Transaction
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, NOT_FOUND, UID, WITH_BODY, WRONG_QUERY, uid_in
from countermand.contracts.shopping.hal import hal_answer, hal_list_answer, list_links, resource_links
from countermand.contracts.shopping.list_query import PAGE_SIZE, TEXT, FilterType, choice, parameters, parse_list_query
from countermand.contracts.shopping.orders.messages import ConsumerPage, EmbeddedConsumers, WholeConsumer
from countermand.contracts.shopping.orders.order_request import consumer_given
from countermand.domain.client import Permission
from countermand.domain.ticketing.consumer import Consumer

_CONSUMERS: Final = "/consumers"
_DATE: Final = replace(TEXT, suffixes=(Op.LT, Op.LTE, Op.GT, Op.GTE), repeats=False)
_EXACT: Final = replace(TEXT, suffixes=())
_STARTING: Final = replace(TEXT, suffixes=(Op.STARTSWITH,))
_GENDER: Final = "gender"
# All are documented. Only orders have references, so it is inferred that a consumer's are those of its orders.
_FILTERS: Final[Mapping[str, FilterType]] = {
    "email": _STARTING,
    "first_name": _STARTING,
    "last_name": _STARTING,
    "date_of_birth": _DATE,
    _GENDER: replace(choice(["0", "1", "2", "9"]), suffixes=()),
    "postal_code": _EXACT,
    "city": _STARTING,
    "country": _EXACT,
    "state": _EXACT,
    "reference": _EXACT,
    "external_reference": _EXACT,
}
_POST: Final = Operation(
    name="createConsumer",
    method="POST",
    path=_CONSUMERS,
    summary="Store a consumer",
    description="With a uid, stores a revision of that consumer, which has a new uid. Existing orders do not change.",
    permission=Permission.CREATE,
    needs_secret=True,
    request=messages.Consumer,
    takes_key=True,
    replies={
        **FAILURES,
        **WITH_BODY,
        201: Reply(
            when="The new consumer", message=WholeConsumer, media_type=HAL, headers={"Location": "the consumer's uri"}
        ),
        400: Reply(when="BAD_REQUEST: a field is invalid, or the uid names no consumer", message=messages.Error),
    },
)
_READ: Final = Operation(
    name="readConsumer",
    method="GET",
    path=_CONSUMERS + "/{uid}",
    summary="Read a consumer",
    description="One of the caller's own consumers.",
    permission=Permission.READ,
    needs_secret=True,
    parameters=(UID,),
    replies={
        **FAILURES,
        200: Reply(when="The consumer", message=WholeConsumer, media_type=HAL),
        404: NOT_FOUND,
    },
)
_LIST: Final = Operation(
    name="listConsumers",
    method="GET",
    path=_CONSUMERS,
    summary="List consumers",
    description="Lists the caller's own consumers that match all filters, oldest first, 500 on each page.",
    permission=Permission.READ,
    needs_secret=True,
    parameters=parameters(_FILTERS),
    replies={
        **FAILURES,
        200: Reply(when="A page of consumers", message=ConsumerPage, media_type=HAL),
        400: WRONG_QUERY,
    },
)


@dataclass(frozen=True, slots=True)
class ConsumerCalls:
    """`/consumers` and `/consumers/{uid}`."""

    addresses: Addresses

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on consumers with their handlers."""
        return (
            TransactionCall(operation=_POST, body=_given, handle=self._keep),
            ServiceCall(operation=_LIST, body=no_body, handle=self._list),
            ServiceCall(operation=_READ, body=no_body, handle=self._read),
        )

    async def _keep(self, tx: Transaction, context: CallContext[Consumer]) -> Answer:
        kept = await keep_consumer(tx, context.client, context.body, context.services.clock())
        location = ((b"location", self.addresses.consumer(kept.uid).encode()),)
        return json_answer(201, _shown(kept, self.addresses), headers=location, media_type=HAL)

    async def _read(self, context: CallContext[None]) -> Answer:
        uid = uid_in(context.request, "consumer")
        found = await read_consumer(context.services.store, uid, owner=context.client)
        return hal_answer(_shown(found, self.addresses))

    async def _list(self, context: CallContext[None]) -> Answer:
        addresses, owner = self.addresses, context.client
        wanted = parse_list_query(context.request.query_string, _FILTERS)
        conditions = [_as_kept(one) for one in wanted.conditions]
        store = context.services.store
        found = await list_consumers(store, owner, conditions, offset=wanted.offset, at_most=PAGE_SIZE)
        address = addresses.public + _CONSUMERS
        return await hal_list_answer(
            found.items,
            lambda one: _shown(one, addresses),
            lambda consumers: ConsumerPage(
                links=list_links(addresses, address, "consumers", wanted, found.total, _FILTERS),
                item_count=found.total,
                embedded=EmbeddedConsumers(consumers=consumers),
            ),
        )


def _given(given: DecodedBody) -> Consumer:
    return consumer_given(read(messages.Consumer, given.json))


def _as_kept(condition: Condition) -> Condition:
    """Return a filter in the words of the stored consumers."""
    if condition.field != _GENDER:
        return condition
    given = condition.value
    return replace(condition, value=tuple(map(_code, given)) if isinstance(given, tuple) else _code(given))


def _code(gender: FilterValue) -> int:
    return int(str(gender))


def _shown(consumer: KnownConsumer, addresses: Addresses) -> WholeConsumer:
    links = resource_links(addresses, addresses.consumer(consumer.uid), "consumer")
    details = consumer.details or Consumer()
    return msgspec.convert({"_links": links, **details.given(), "uid": consumer.uid}, WholeConsumer)
