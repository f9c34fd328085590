"""How can products be listed and read over the shopping contract?

Documented: the fields and filters. Inferred: that `combo` has the parts of a combo product and `parents` the combo
products of a part; that a product without sale dates shows those of its event; that the memberships are true or false;
that a product that is not on sale can still be read by its address, which orders link to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from countermand.actions.catalogue.read import ProductView, list_products, read_product
from countermand.contracts.http.answer import HAL, Answer
from countermand.contracts.http.calls import Call, CallContext, ServiceCall, no_body
from countermand.contracts.http.money import amount
from countermand.contracts.http.openapi import Operation, Reply
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, NOT_FOUND, UID, WRONG_QUERY, asked_at, uid_in
from countermand.contracts.shopping.catalogue import messages
from countermand.contracts.shopping.hal import (
    date_time,
    hal_answer,
    hal_list_answer,
    in_all_languages,
    list_links,
    resource_links,
)
from countermand.contracts.shopping.links import Link
from countermand.contracts.shopping.list_query import (
    INSTANT,
    PAGE_SIZE,
    PRICE,
    TEXT,
    TRUTH,
    FilterType,
    parameters,
    parse_list_query,
    uri,
)
from countermand.domain.client import Permission

PATH: Final = "/products"


def filters_of(addresses: Addresses) -> Mapping[str, FilterType]:
    """Return the filters of products."""
    return {
        "name": TEXT,
        "subtitle": TEXT,
        "price": PRICE,
        "price_cur": TEXT,
        "is_soldout": TRUTH,
        "event": uri(addresses.uid_of_event, addresses.event("<uid>")),
        "sale_start": INSTANT,
        "sale_end": INSTANT,
    }


_READ: Final = Operation(
    name="readProduct",
    method="GET",
    path=PATH + "/{uid}",
    summary="Read a product",
    description="Possible while the product and its event are enabled, even if it is not on sale.",
    permission=Permission.READ,
    parameters=(UID,),
    replies={
        **FAILURES,
        200: Reply(when="The product", message=messages.CatalogueProduct, media_type=HAL),
        404: NOT_FOUND,
    },
)


@dataclass(frozen=True, slots=True)
class ProductCalls:
    """`/products` and `/products/{uid}`."""

    addresses: Addresses

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on products with their handlers."""
        listed = Operation(
            name="listProducts",
            method="GET",
            path=PATH,
            summary="List the products that are on sale, 500 on each page",
            description="Lists products of events that are on sale, in their viewing order.",
            permission=Permission.READ,
            parameters=parameters(filters_of(self.addresses)),
            replies={
                **FAILURES,
                200: Reply(when="A page of products", message=messages.Page, media_type=HAL),
                400: WRONG_QUERY,
            },
        )
        return (
            ServiceCall(operation=listed, body=no_body, handle=self._list),
            ServiceCall(operation=_READ, body=no_body, handle=self._read),
        )

    async def _list(self, context: CallContext[None]) -> Answer:
        services, addresses, filters = context.services, self.addresses, filters_of(self.addresses)
        wanted = parse_list_query(context.request.query_string, filters)
        page = await list_products(
            services.store, wanted.conditions, services.clock(), offset=wanted.offset, at_most=PAGE_SIZE
        )
        address = addresses.public + PATH
        return await hal_list_answer(
            page.items,
            lambda view: product_shown(view, addresses),
            lambda products: messages.Page(
                links=list_links(addresses, address, "products", wanted, page.total, filters),
                item_count=page.total,
                embedded={"shop:product": products},
            ),
        )

    async def _read(self, context: CallContext[None]) -> Answer:
        view = await read_product(context.services.store, uid_in(context.request, "product"))
        return hal_answer(product_shown(view, self.addresses, asked_at(context.request, self.addresses)))


def product_shown(view: ProductView, addresses: Addresses, itself: str | None = None) -> messages.CatalogueProduct:
    """Return a product with every documented field; `itself` is the address that the request used."""
    product, event, more = view.product, view.event, view.product.more
    its_event: dict[str, Link] = {} if event is None else {"shop_event": {"href": addresses.event(event.uid)}}
    return messages.CatalogueProduct(
        links=resource_links(addresses, itself or addresses.product(product.uid), "product", **its_event),
        uid=product.uid,
        reference=product.reference,
        name=in_all_languages(product.name),
        subtitle=in_all_languages(more.get("subtitle")),
        price=amount(product.price),
        sold_out=product.is_sold_out,
        sold_out_text=in_all_languages(more.get("sold_out_text")),
        min_per_order=product.min_per_order,
        max_per_order=product.max_per_order,
        separately_saleable=product.is_separately_saleable,
        availability=product.availability,
        total_availability=product.total_availability,
        additional_information=in_all_languages(more.get("additional_information")),
        viewing_order=product.viewing_order,
        parents=[addresses.product(uid) for uid in view.combos],
        combo=[addresses.product(part.product_uid) for part in product.parts],
        types=more.get("types", []),
        sale_start=_of_sale(product.sale_starts_at, None if event is None else event.sale_starts_at),
        sale_end=_of_sale(product.sale_ends_at, None if event is None else event.sale_ends_at),
        requires_membership=more.get("requires_membership", False),
        provides_membership=more.get("provides_membership", False),
    )


def _of_sale(its_own: datetime | None, its_events: datetime | None) -> str | None:
    instant = its_own or its_events
    return None if instant is None else date_time(instant)
