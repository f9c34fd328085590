"""`POST /bill`, and the deprecated `GET /bill`: what would an order cost now? A bill reserves nothing.

A bill is refused for the same reasons as the order would be, except that it needs no way to pay, and only the country
of the consumer. A product with too few left is refused, too (inferred: the buyer is about to order).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from countermand.actions.ticketing.bill import Billed, bill_tickets, bill_transfer
from countermand.actions.ticketing.place import chosen_method
from countermand.actions.ticketing.rules import TicketOrder
from countermand.actions.ticketing.transfer import TransferOrder
from countermand.contracts.http.answer import HAL, Answer
from countermand.contracts.http.calls import Call, CallContext, Request, ServiceCall, Services, no_body
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.query import Query
from countermand.contracts.http.store import Reading
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import FAILURES, WITH_BODY, asked_at
from countermand.contracts.shopping.hal import hal_answer, resource_links
from countermand.contracts.shopping.links import Links
from countermand.contracts.shopping.messages import Method as MethodShown
from countermand.contracts.shopping.orders.create import REFUSALS, WantedOrder
from countermand.contracts.shopping.orders.messages import Bill, CreateRequest
from countermand.contracts.shopping.orders.order_request import wanted_of_query
from countermand.contracts.shopping.translate import amount, method_shown, selections
from countermand.domain.client import Client, Permission
from countermand.domain.ticketing.catalogue import Method

_BILL: Final = "/bill"
_OK: Final = Reply(when="The bill: what the order would cost now", message=Bill, media_type=HAL)
_POST: Final = Operation(
    name="createBill",
    method="POST",
    path=_BILL,
    summary="Ask what an order would cost",
    description="Takes the body of an order, of which the consumer needs only a country. Changes nothing.",
    permission=Permission.CREATE,
    request=CreateRequest,
    replies={
        **FAILURES,
        **{status: reply for status, reply in WITH_BODY.items() if status != 422},  # noqa: PLR2004 - no key is taken
        **REFUSALS,
        200: _OK,
    },
)
_GET: Final = Operation(
    name="readBill",
    method="GET",
    path=_BILL,
    summary="Ask what an order would cost (deprecated)",
    description="Deprecated by the contract's owner (documented): use POST /bill. Changes nothing.",
    permission=Permission.CREATE,
    parameters=(
        {
            **parameter(
                "products",
                "query",
                "Repeat it for each product: the product's uri, a comma, and the quantity",
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 100},
            ),
            "style": "form",
            "explode": True,
        },
        *(
            parameter(name, "query", said, {"type": "string", "pattern": pattern}, required=False)
            for name, said, pattern in (
                ("payment_method", "The method's uid", "^[0-9A-Za-z]{1,32}$"),
                ("shipping_method", "The method's uid", "^[0-9A-Za-z]{1,32}$"),
                ("country", "ISO 3166-1; without it, the bill lists no payment methods", "^[A-Z]{2}$"),
                (
                    "external_purchase_amount",
                    "Like EUR350.75; not part of the totals",
                    r"^[A-Z]{3}[0-9]{1,13}(\.[0-9]{1,2})?$",
                ),
                ("donation_amount", "Like EUR350.75", r"^[A-Z]{3}[0-9]{1,13}(\.[0-9]{1,2})?$"),
            )
        ),
    ),
    replies={**FAILURES, **REFUSALS, 200: _OK},
)


@dataclass(frozen=True, slots=True)
class BillCalls:
    """`POST /bill` and `GET /bill`."""

    addresses: Addresses

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on bills with their handlers."""
        return (
            ServiceCall(operation=_POST, body=WantedOrder(self.addresses), handle=self._post),
            ServiceCall(operation=_GET, body=no_body, handle=self._get),
        )

    async def _post(self, context: CallContext[TicketOrder | TransferOrder]) -> Answer:
        return await self._bill(context.request, context.services, context.client, context.body)

    async def _get(self, context: CallContext[None]) -> Answer:
        asked = wanted_of_query(Query(context.request.query_string), self.addresses)
        wanted = replace(asked, only_event=context.client.only_event)
        return await self._bill(context.request, context.services, context.client, wanted)

    async def _bill(
        self, request: Request, services: Services, client: Client, wanted: TicketOrder | TransferOrder
    ) -> Answer:
        async with services.store.snapshot() as reading:
            billed = await _billed(reading, client, wanted, services)
        links = resource_links(self.addresses, asked_at(request, self.addresses), "bill")
        return hal_answer(_shown(billed, links, self.addresses))


async def _billed(reading: Reading, client: Client, wanted: TicketOrder | TransferOrder, services: Services) -> Billed:
    if isinstance(wanted, TransferOrder):
        return await bill_transfer(reading, client.id, wanted.ticket_uids)
    return await bill_tickets(reading, client, wanted, services.clock())


def _shown(billed: Billed, links: Links, addresses: Addresses) -> Bill:
    bill = billed.bill
    return Bill(
        links=links,
        products=selections(billed.lines, addresses),
        product_total=amount(bill.product_total_minor, bill.currency),
        service_costs=amount(bill.service_costs_minor, bill.currency),
        payment_method=_chosen(billed.payment),
        shipping_method=_chosen(billed.shipping),
        grand_total=amount(bill.grand_total_minor, bill.currency),
        available_payment_methods=_available(billed.methods, "payment"),
        available_shipping_methods=_available(billed.methods, "shipping"),
    )


def _available(methods: Sequence[Method], kind: str) -> list[MethodShown]:
    return [_chosen(method) for method in methods if method.kind == kind]


def _chosen(method: Method | None) -> MethodShown:
    shown = method_shown(chosen_method(method))
    if method is not None:
        shown.required_consumer_fields = list(method.required_consumer_fields)
    return shown
