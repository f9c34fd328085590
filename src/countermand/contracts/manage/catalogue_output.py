"""How is a catalogue shown? In the shape in which it is loaded, so that it can be loaded again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from countermand.actions.catalogue.ports import Section
from countermand.actions.catalogue.read import Item, Listed
from countermand.actions.slices import Slices
from countermand.contracts.http.body import BODY_CAP_BYTES
from countermand.contracts.http.money import amount
from countermand.contracts.manage.catalogue_input import SHOWN_OF_EVENTS, SHOWN_OF_PRODUCTS
from countermand.contracts.manage.catalogue_messages import EventGiven, MethodGiven, ProductGiven, VoucherGiven
from countermand.domain.instants import written_instant
from countermand.domain.ticketing.catalogue import Event, Method, Product, Voucher
from countermand.domain.ticketing.seating import SeatBlock

# A page has no room for more blocks: each takes at least this many bytes, with one character for section and row.
MOST_SEAT_BLOCKS: Final = BODY_CAP_BYTES // len('{"section":"S","row":"R","first":1,"last":1},')
_AROUND_BYTES: Final = 512  # the bytes of a page beside its items: the names of the lists, and `next`
_LISTS: Final = {section: section.value for section in Section} | {Section.COMBOS: Section.PRODUCTS.value}


class ProductShown(ProductGiven, kw_only=True):
    """A loaded product. Orders hold the difference between its total and its availability."""

    availability: Annotated[int, Meta(description="The number that is left of total_availability")]


class CatalogueShown(Struct, kw_only=True):
    """A page of the catalogue, which can be loaded again as it is; the next page begins after `next`, if not null."""

    events: Annotated[list[EventGiven], Meta(description="The events of this page")] = []
    products: Annotated[list[ProductShown], Meta(description="The products of this page")] = []
    methods: Annotated[list[MethodGiven], Meta(description="The payment and shipping methods of this page")] = []
    vouchers: Annotated[list[VoucherGiven], Meta(description="The vouchers of this page")] = []
    next: Annotated[
        str | None, Meta(description="The value of the parameter after for the next page; null on the last page")
    ] = None


async def page_shown(found: Listed, *, at_most: int) -> dict[str, object]:
    """Return at most `at_most` items, and no more than a request's body may have, but at least one item.

    `next` is set if there are more.
    """
    shown: dict[str, list[msgspec.Raw]] = {kind: [] for kind in ("events", "products", "methods", "vouchers")}
    size, last = _AROUND_BYTES, None
    slices = Slices()
    for section, name, item in found.items[:at_most]:
        one = msgspec.json.encode(_without_nothing(_shown(item, found.seats)))
        size += len(one) + 1
        if size > BODY_CAP_BYTES and last is not None:
            break
        shown[_LISTS[section]].append(msgspec.Raw(one))
        last = (section, name)
        await slices.pause()
    there_is_more = bool(found.items) and last != found.items[-1][:2]
    return {**shown, "next": f"{last[0]}/{last[1]}" if there_is_more and last is not None else None}


def _shown(item: Item, seats: Mapping[str, Sequence[SeatBlock]]) -> dict[str, object]:
    match item:
        case Event():
            return _event(item)
        case Method():
            return _method(item)
        case Product():
            return _product(item, seats.get(item.uid))
        case Voucher():
            return _voucher(item)


def _event(event: Event) -> dict[str, object]:
    return {
        "uid": event.uid,
        "reference": event.reference,
        "merchant_name": event.merchant_name,
        "title": event.title,
        "sale_start": written_instant(event.sale_starts_at),
        "sale_end": written_instant(event.sale_ends_at),
        "event_start": _or_none(event.starts_at),
        "event_end": _or_none(event.ends_at),
        "enabled": event.is_enabled,
        "min_quantity_per_order": event.min_per_order,
        "max_quantity_per_order": event.max_per_order,
        **{name: event.more.get(name) for name in SHOWN_OF_EVENTS},
    }


def _product(product: Product, seats: Sequence[SeatBlock] | None) -> dict[str, object]:
    return {
        "uid": product.uid,
        "event": product.event_uid,
        "reference": product.reference,
        "name": product.name,
        "price": amount(product.price),
        "service_costs": amount(product.service_costs),
        "total_availability": product.total_availability,
        "availability": product.availability,
        "seats": None if seats is None else [asdict(stretch) for stretch in seats],
        "min_per_order": product.min_per_order,
        "max_per_order": product.max_per_order,
        "separately_saleable": product.is_separately_saleable,
        "enabled": product.is_enabled,
        "needs_voucher": product.needs_voucher,
        "sale_start": _or_none(product.sale_starts_at),
        "sale_end": _or_none(product.sale_ends_at),
        "viewing_order": product.viewing_order,
        "parts": [{"product": part.product_uid, "quantity": part.quantity} for part in product.parts],
        **{name: product.more.get(name) for name in SHOWN_OF_PRODUCTS},
    }


def _method(method: Method) -> dict[str, object]:
    return {
        "uid": method.uid,
        "kind": method.kind,
        "name": method.name,
        "costs": amount(method.costs),
        "image": method.image,
        "countries": method.countries,
        "required_consumer_fields": method.required_consumer_fields,
        "pickup_location": method.pickup_location,
    }


def _voucher(voucher: Voucher) -> dict[str, object]:
    return {
        "code": voucher.code,
        "event": voucher.event_uid,
        "products": voucher.product_uids,
        "discount_percent": voucher.discount_percent,
        "uses_cap": voucher.uses_cap,
    }


def _or_none(instant: datetime | None) -> str | None:
    return None if instant is None else written_instant(instant)


def _without_nothing(item: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in item.items() if value is not None}
