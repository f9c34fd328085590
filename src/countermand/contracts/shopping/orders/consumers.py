"""`/consumers`: people that a client keeps, so that its orders can name them by uid."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from countermand.actions.catalogue.ports import Condition, Op
from countermand.actions.ports import Transaction
from countermand.actions.run_idempotently import run_idempotently
from countermand.actions.ticketing.consumers import keep_consumer, list_consumers, read_consumer
from countermand.actions.ticketing.ports import KnownConsumer
from countermand.contracts.http.answer import HAL, Answer, check_media_type, json_answer, restored, stored
from countermand.contracts.http.body import decode, read
from countermand.contracts.http.calls import Call, Route, Services
from countermand.contracts.http.idempotency import idempotency_key
from countermand.contracts.http.openapi import IDEMPOTENCY_KEY, Operation, Reply
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.access import application
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, NOT_FOUND, UID, WITH_BODY, WRONG_QUERY, refused, uid_in
from countermand.contracts.shopping.hal import hal_answer, list_links, resource_links
from countermand.contracts.shopping.list_query import PAGE_SIZE, TEXT, FilterType, choice, parameters, parse_list_query
from countermand.contracts.shopping.orders.messages import ConsumerPage, EmbeddedConsumers, WholeConsumer
from countermand.contracts.shopping.orders.order_request import consumer_given
from countermand.domain.client import Permission
from countermand.domain.ticketing.consumer import Consumer

_CONSUMERS: Final = "/consumers"
_DATE: Final = replace(TEXT, suffixes=(Op.LT, Op.LTE, Op.GT, Op.GTE))
_EXACT: Final = replace(TEXT, suffixes=())
_STARTING: Final = replace(TEXT, suffixes=(Op.STARTSWITH,))
_GENDER: Final = "gender"
# All documented. A consumer has no references, orders have: inferred, that those of the orders that name it are meant.
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
    summary="Keep a consumer",
    description="With a uid, a revision of that consumer, with a uid of its own; orders keep what they were given.",
    request=messages.Consumer,
    parameters=(IDEMPOTENCY_KEY,),
    replies={
        **FAILURES,
        **WITH_BODY,
        201: Reply(
            when="The consumer", message=WholeConsumer, media_type=HAL, headers={"Location": "the consumer's uri"}
        ),
        400: Reply(when="BAD_REQUEST: a field does not hold, or no such consumer", message=messages.Error),
    },
)
_READ: Final = Operation(
    name="readConsumer",
    method="GET",
    path=_CONSUMERS + "/{uid}",
    summary="Read a consumer",
    description="One that the caller keeps.",
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
    description="Those that the caller keeps, oldest first, 500 a page. All filters that are given must hold.",
    parameters=parameters(_FILTERS),
    replies={
        **FAILURES,
        200: Reply(when="A page of consumers", message=ConsumerPage, media_type=HAL),
        400: WRONG_QUERY,
    },
)


def routes(addresses: Addresses) -> tuple[Route, ...]:
    """The calls, spoken with these addresses."""

    async def create(call: Call, services: Services) -> Answer:
        client = await application(call, services, Permission.CREATE)
        check_media_type(call.headers, also=(HAL,))
        key = idempotency_key(call.headers, "POST", _CONSUMERS, call.body)
        given = consumer_given(read(messages.Consumer, decode(call.body)))

        async def keep(tx: Transaction) -> bytes:
            kept = await keep_consumer(tx, client.id, given, services.clock())
            location = ((b"location", addresses.consumer(kept.uid).encode()),)
            return stored(json_answer(201, _shown(kept, addresses), headers=location, media_type=HAL))

        return restored(await run_idempotently(services.store, services.clock, client.id, key, keep, refused))

    async def read_one(call: Call, services: Services) -> Answer:
        client = await application(call, services, Permission.READ)
        found = await read_consumer(services.store, uid_in(call, "consumer"), owner=client.id)
        return hal_answer(_shown(found, addresses))

    async def list_them(call: Call, services: Services) -> Answer:
        client = await application(call, services, Permission.READ)
        wanted = parse_list_query(call.query_string, _FILTERS)
        conditions = [_as_kept(one) for one in wanted.conditions]
        found = await list_consumers(services.store, client.id, conditions, offset=wanted.offset, at_most=PAGE_SIZE)
        address = addresses.public + _CONSUMERS
        return hal_answer(
            ConsumerPage(
                links=list_links(addresses, address, "consumers", wanted, found.total, _FILTERS),
                item_count=found.total,
                embedded=EmbeddedConsumers(consumers=[_shown(one, addresses) for one in found.items]),
            )
        )

    return (
        Route(operation=_POST, handle=create),
        Route(operation=_LIST, handle=list_them),
        Route(operation=_READ, handle=read_one),
    )


def _as_kept(condition: Condition) -> Condition:
    """A filter in the words of what is kept."""
    return replace(condition, value=int(condition.value)) if condition.field == _GENDER else condition


def _shown(consumer: KnownConsumer, addresses: Addresses) -> WholeConsumer:
    links = resource_links(addresses, addresses.consumer(consumer.uid), "consumer")
    details = consumer.details or Consumer()
    return msgspec.convert({"_links": links, **details.given(), "uid": consumer.uid}, WholeConsumer)
