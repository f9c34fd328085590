"""How can events be listed and read over the shopping contract?

Documented: the fields and filters, and that a list without `sale_start` and `sale_end` has the events on sale now.
Documented: that artists are texts in languages, genres a list, location and facilities objects. Inferred: that a
condition on either removes both defaults, the fields of `location`, a genre and the facilities.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from countermand.actions.catalogue.ports import Condition, Op
from countermand.actions.catalogue.read import EventView, list_events, read_event
from countermand.contracts.http.answer import HAL, Answer
from countermand.contracts.http.calls import Call, CallContext, ServiceCall, no_body
from countermand.contracts.http.openapi import Operation, Reply
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, NOT_FOUND, UID, WRONG_QUERY, asked_at, uid_in
from countermand.contracts.shopping.catalogue import messages
from countermand.contracts.shopping.catalogue.products import product_shown
from countermand.contracts.shopping.hal import date_time, hal_list_answer, in_all_languages, list_links, resource_links
from countermand.contracts.shopping.links import Link
from countermand.contracts.shopping.list_query import INSTANT, PAGE_SIZE, TEXT, FilterType, parameters, parse_list_query
from countermand.domain.client import Permission
from countermand.domain.ticketing.catalogue import I18n

PATH: Final = "/events"
FILTERS: Final[Mapping[str, FilterType]] = {
    "merchant_name": TEXT,
    "title": TEXT,
    "subtitle": TEXT,
    "sale_start": INSTANT,
    "sale_end": INSTANT,
    "event_start": INSTANT,
    "event_end": INSTANT,
    "location.name": TEXT,
    "location.postal_code": TEXT,
    "location.city": TEXT,
    "location.country": TEXT,
    "artist": TEXT,
    "genre": TEXT,
}


_LIST: Final = Operation(
    name="listEvents",
    method="GET",
    path=PATH,
    summary="List the events that are on sale, 500 on each page",
    description="Without a condition on `sale_start` or `sale_end`, the list has the events on sale now.",
    permission=Permission.READ,
    parameters=parameters(FILTERS),
    replies={
        **FAILURES,
        200: Reply(when="A page of events", message=messages.Page, media_type=HAL),
        400: WRONG_QUERY,
    },
)
_READ: Final = Operation(
    name="readEvent",
    method="GET",
    path=PATH + "/{uid}",
    summary="Read an event",
    description="Possible while the event is enabled. Its products on sale are embedded.",
    permission=Permission.READ,
    parameters=(UID,),
    replies={
        **FAILURES,
        200: Reply(when="The event", message=messages.Event, media_type=HAL),
        404: NOT_FOUND,
    },
)


@dataclass(frozen=True, slots=True)
class EventCalls:
    """`/events` and `/events/{uid}`."""

    addresses: Addresses

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on events with their handlers."""
        return (
            ServiceCall(operation=_LIST, body=no_body, handle=self._list),
            ServiceCall(operation=_READ, body=no_body, handle=self._read),
        )

    async def _list(self, context: CallContext[None]) -> Answer:
        services, addresses = context.services, self.addresses
        wanted = parse_list_query(context.request.query_string, FILTERS)
        conditions = [*wanted.conditions]
        if not (wanted.has("sale_start") or wanted.has("sale_end")):
            now = services.clock()
            conditions += [Condition("sale_start", Op.LTE, now), Condition("sale_end", Op.GTE, now)]
        page = await list_events(services.store, conditions, offset=wanted.offset, at_most=PAGE_SIZE)
        address = addresses.public + PATH
        return await hal_list_answer(
            page.items,
            lambda view: event_shown(view, addresses),
            lambda events: messages.Page(
                links=list_links(addresses, address, "events", wanted, page.total, FILTERS),
                item_count=page.total,
                embedded={"shop:event": events},
            ),
        )

    async def _read(self, context: CallContext[None]) -> Answer:
        services, uid = context.services, uid_in(context.request, "event")
        view = await read_event(services.store, uid, services.clock(), at_most=PAGE_SIZE)
        shown = event_shown(view, self.addresses, asked_at(context.request, self.addresses))
        return await hal_list_answer(
            view.products or (),
            lambda one: product_shown(one, self.addresses),
            lambda products: replace(shown, embedded={"shop:product": products}),
        )


def event_shown(view: EventView, addresses: Addresses, itself: str | None = None) -> messages.Event:
    """Return an event with every documented field, without its products; `itself` is the address that was requested."""
    event, more = view.event, view.event.more
    address = addresses.event(event.uid)
    links: dict[str, Link] = {"shop_products": {"href": f"{addresses.public}/products?event={address}"}}
    if "ticketshop" in more:
        links["shop_ticketshop"] = {"href": more["ticketshop"], "type": "text/html"}
    return messages.Event(
        links=resource_links(addresses, itself or address, "event", **links),
        uid=event.uid,
        reference=event.reference,
        merchant_name=event.merchant_name,
        title=in_all_languages(event.title),
        subtitle=in_all_languages(more.get("subtitle")),
        sale_start=date_time(event.sale_starts_at),
        sale_end=date_time(event.sale_ends_at),
        event_start=_or_none(event.starts_at),
        event_end=_or_none(event.ends_at),
        personalization_start=more.get("personalization_start"),
        personalization_end=more.get("personalization_end"),
        fulfillment_starts_at=more.get("fulfillment_starts_at"),
        location=msgspec.convert(more.get("location", {}), messages.Location),
        facilities=more.get("facilities", {}),
        description=in_all_languages(more.get("description")),
        long_description=in_all_languages(more.get("long_description")),
        image=more.get("image"),
        artists=[in_all_languages(one) for one in more.get("artists", ())],
        genres=[_genre(one) for one in more.get("genres", ())],
        sold_out=view.is_sold_out,
        sold_out_text=in_all_languages(more.get("sold_out_text")),
        min_quantity_per_order=event.min_per_order,
        max_quantity_per_order=event.max_per_order,
    )


def _genre(genre: Mapping[str, I18n]) -> messages.Genre:
    name = in_all_languages(genre.get("name"))
    return messages.Genre(name=name, title=name)


def _or_none(instant: datetime | None) -> str | None:
    return None if instant is None else date_time(instant)
