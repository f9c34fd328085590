"""The root of the shopping contract, with links to all resources, and its status.

Both need no credentials (inferred).
"""

from dataclasses import dataclass
from typing import Final

from countermand.contracts.http.accept import prefers_page
from countermand.contracts.http.answer import HAL, Answer
from countermand.contracts.http.calls import Call, OpenCall, OpenContext
from countermand.contracts.http.openapi import NoPermission, Operation, Reply
from countermand.contracts.http.page_addresses import DOCS, page_path
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import DOWN, asked_at
from countermand.contracts.shopping.catalogue import messages
from countermand.contracts.shopping.catalogue.events import FILTERS as EVENT_FILTERS
from countermand.contracts.shopping.catalogue.events import PATH as EVENTS
from countermand.contracts.shopping.catalogue.products import PATH as PRODUCTS
from countermand.contracts.shopping.catalogue.products import filters_of
from countermand.contracts.shopping.hal import hal_answer, resource_links, templated
from countermand.contracts.shopping.list_query import search

STATUS: Final = "/status"
_VARIES: Final = (b"vary", b"Accept")
_OF_BILLS: Final = "products,payment_method,shipping_method,country,external_purchase_amount"


@dataclass(frozen=True, slots=True)
class RootCalls:
    """`/` and `/status`."""

    addresses: Addresses

    def calls(self) -> tuple[Call, ...]:
        """Return the calls with their handlers."""
        return (
            OpenCall(operation=_READ_ROOT, handle=self._root),
            OpenCall(operation=_READ_STATUS, handle=self._status),
        )

    async def _root(self, context: OpenContext) -> Answer:
        request = context.request
        if prefers_page(request.headers.get(b"accept", b"")):
            return Answer(302, ((b"location", page_path(self.addresses.public, DOCS).encode()), _VARIES))
        return hal_answer(root_shown(self.addresses, asked_at(request, self.addresses))).with_headers(_VARIES)

    async def _status(self, context: OpenContext) -> Answer:
        async with context.services.store.snapshot() as reading:
            await reading.events_named([])  # any read will do: its error becomes the answer 503
        links = resource_links(self.addresses, asked_at(context.request, self.addresses), "status")
        return hal_answer(messages.Status(links=links, status="OK"))


_READ_ROOT: Final = Operation(
    name="readRoot",
    method="GET",
    path="/",
    summary="Read the links to all resources",
    description="Redirects a browser to the pages about the calls.",
    permission=NoPermission("the links are the same for everybody"),
    replies={
        **DOWN,
        200: Reply(when="The links", message=messages.Root, media_type=HAL),
        302: Reply(when="The request comes from a browser", headers={"Location": "the pages about the calls"}),
    },
)
_READ_STATUS: Final = Operation(
    name="readStatus",
    method="GET",
    path=STATUS,
    summary="Ask whether the service works",
    description="The answer is 200, or 503 while the service is down.",
    permission=NoPermission("the answer has no data of any client"),
    replies={**DOWN, 200: Reply(when="The service works", message=messages.Status, media_type=HAL)},
)


def root_shown(addresses: Addresses, itself: str) -> messages.Root:
    """Return the documented links, except those for ticket transfers. `shop:product` and some others are ours."""
    public = addresses.public
    return messages.Root(
        links=resource_links(
            addresses,
            itself,
            "root",
            help={"href": public + DOCS, "type": "text/html"},
            shop_event=search(public + EVENTS, EVENT_FILTERS),
            shop_product=search(public + PRODUCTS, filters_of(addresses)),
            shop_order={"href": f"{public}/orders"},
            shop_bill=templated(f"{public}/bill{{?{_OF_BILLS}}}"),
            shop_tickets=templated(f"{public}/tickets?event={{event}}&code={{barcode}}"),
            shop_ticket=templated(f"{public}/tickets/{{uid}}"),
            shop_ordercancellation={"href": f"{public}/ordercancellation"},
            shop_status={"href": public + STATUS},
        )
    )
