"""Makes the pages that explain the shopping contract's link relations. Its curies and profiles lead to these pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.openapi import Operation, parameters_of
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.catalogue import messages as catalogue
from countermand.contracts.shopping.contract import NAME as _MODULE
from countermand.contracts.shopping.list_query import PAGE_SIZE
from countermand.contracts.shopping.orders import messages as order_messages
from countermand.contracts.shopping.orders.messages import WholeConsumer
from countermand.web.pages.rendering import PageRenderer
from countermand.web.pages.schema_fields import FieldTable, field_tables, parameter_table

_PAGES: Final = (
    f"A page has {PAGE_SIZE} items; `item_count` is how many there are on all. `first`, `prev`, `next` and `last` lead "
    "to the other pages; a page beyond the last is the last. `search` has everything that the list can be filtered by: "
    "a parameter ends in `__lt`, `__lte`, `__gt`, `__gte`, `__ne`, `__in` (values between commas) or "
    "`__startswith`, where that fits."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """Describes what a link leads to: its calls, its meaning and, if it is a resource, the message with its fields."""

    title: str
    calls: tuple[str, ...]
    about: str
    message: type[msgspec.Struct] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """A call on a relation's page. `fragment` is its place on the page of the API."""

    written: str
    summary: str
    fragment: str


RELATIONS: Final[Mapping[str, Relation]] = {
    "root": Relation(
        title="Root",
        calls=("GET /",),
        about="Where everything is: links to the lists and the calls, with braces where there is something to fill in.",
        message=catalogue.Root,
    ),
    "status": Relation(
        title="Status",
        calls=("GET /status",),
        about="Whether the service works: 200 and OK, or 503 while it is temporarily down. It asks for no credentials.",
        message=catalogue.Status,
    ),
    "events": Relation(
        title="Events",
        calls=("GET /events",),
        about="The events that are on sale now, or, with a condition on `sale_start` or `sale_end`, those that it "
        "names. " + _PAGES,
        message=catalogue.Page,
    ),
    "event": Relation(
        title="Event",
        calls=("GET /events/{uid}",),
        about="What tickets are sold for. `shop:products` leads to its products, `shop:ticketshop` to its shop's page.",
        message=catalogue.Event,
    ),
    "products": Relation(
        title="Products",
        calls=("GET /products", "GET /products?event={address of an event}"),
        about="The products that are on sale, of events that are on sale, by their viewing order. " + _PAGES,
        message=catalogue.Page,
    ),
    "product": Relation(
        title="Product",
        calls=("GET /products/{uid}",),
        about="What can be bought: `availability` is what is left of `total_availability`. It falls when an order is "
        "placed, and rises when an order is cancelled or expires.",
        message=catalogue.CatalogueProduct,
    ),
    "bill": Relation(
        title="Bill",
        calls=("POST /bill", "GET /bill"),
        about="What an order would cost now, and how it could be paid and sent. Nothing is reserved by asking.",
        message=order_messages.Bill,
    ),
    "orders": Relation(
        title="Orders",
        calls=("POST /orders", "GET /orders", "GET /orders/{uid}"),
        about="An order takes its tickets off the stock, and gives them back when it is cancelled or expires.",
        message=messages.Order,
    ),
    "order": Relation(
        title="Order",
        calls=("GET /orders/{uid}",),
        about="An order by itself. `payment` leads to where it is paid, `shop:etickets` to its tickets, "
        "`shop:ordercancellation` to the call that cancels it.",
        message=messages.Order,
    ),
    "ordercancellation": Relation(
        title="Order cancellation",
        calls=("POST /ordercancellation/",),
        about="Cancels an order, whole and once: it needs the permission `cancel`, the credentials that placed the "
        "order, a valid state, and that no payment is recorded. Its tickets are then no longer valid.",
        message=messages.CancelRequest,
    ),
    "cancellability": Relation(
        title="Cancellability",
        calls=("GET /orders/{uid}/cancellability",),
        about="Ours: may an order be cancelled, why not, and until when? Asking changes nothing.",
        message=messages.Cancellability,
    ),
    "tickets": Relation(
        title="Tickets",
        calls=("GET /tickets?event={event}&code={barcode}",),
        about="The valid tickets of an event with a code. One that was cancelled is not found.",
    ),
    "ticket": Relation(
        title="Ticket",
        calls=("GET /tickets/{uid}",),
        about="One place. Only a valid ticket gives entry: one of an order that is completed.",
        message=order_messages.WholeTicket,
    ),
    "etickets": Relation(
        title="E-tickets",
        calls=(),
        about="A page for the buyer, with the tickets of an order to print or to show. A cancelled order has none.",
    ),
    "payment": Relation(
        title="Payment",
        calls=(),
        about="A page for the buyer, where the order is paid. It leads back to the order's `redirect_url`.",
    ),
    "ticketshop": Relation(
        title="Ticket shop", calls=(), about="The page of the organiser's own shop for an event, where there is one."
    ),
    "consumers": Relation(
        title="Consumers",
        calls=("GET /consumers", "POST /consumers"),
        about="The people orders are for.",
        message=WholeConsumer,
    ),
    "consumer": Relation(
        title="Consumer",
        calls=("GET /consumers/{uid}",),
        about="Somebody an order is for.",
        message=WholeConsumer,
    ),
}


def explanation(name: str, modules: Mapping[str, ApiModule], renderer: PageRenderer) -> str:
    """Return the page about a relation, as HTML. The calls are those of the shopping contract, if it is served."""
    relation = RELATIONS[name]
    operations = _operations(modules[_MODULE]) if _MODULE in modules else {}
    named = [(call, found) for call in relation.calls if (found := operations.get(call.partition("?")[0])) is not None]
    return renderer.rendered(
        "docs_relation.html",
        title=f"{relation.title}: shopping",
        relation=relation,
        calls=[_call(call, operation) for call, operation in named],
        tables=list(_tables(relation, [operation for _, operation in named])),
    )


def _operations(module: ApiModule) -> Mapping[str, Operation]:
    """Return the operations of a module by method and path."""
    own = [call.operation for call in module.calls] + ([module.cancel[1]] if module.cancel is not None else [])
    return {f"{one.method} {one.path}": one for one in own}


def _call(written: str, operation: Operation) -> _Call:
    """Return a call. Swagger UI makes the fragment of each call from its tag and its name."""
    return _Call(written=written, summary=operation.summary, fragment=f"#/{operation.tag}/{operation.name}")


def _tables(relation: Relation, operations: Sequence[Operation]) -> Iterator[FieldTable]:
    """Yield the tables of a page: parameters, what is sent, what is answered, and the objects inside."""
    operations = list({operation.name: operation for operation in operations}.values())
    for one in operations:
        if parameters := parameters_of(one):
            yield parameter_table(one.name, f"Parameters of {one.method} {one.path}", parameters)
    sent = {one.request: f"Body of {one.method} {one.path}" for one in operations if one.request is not None}
    if relation.message is not None and relation.message not in sent:
        yield from field_tables({relation.message: "Fields"}, is_sent=False)
    if sent:
        yield from field_tables(sent, is_sent=True)
