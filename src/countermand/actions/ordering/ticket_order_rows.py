"""A ticket order as its rows have it: the short form that an answer right after a cancellation is made from.

`OrderView` has the same in the domain's own types, and takes three times as long to make. Every field here is a column
as the database stores it, except for JSON, which is decoded: instants are microseconds since 1970, amounts whole minor
units.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from countermand.actions.ordering.views import Line, OrderView, Ticket
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.known import known
from countermand.domain.money import Money
from countermand.domain.orders.order import Order, OrderFacts, OrderId, OrderUid
from countermand.domain.orders.order_details import TicketOrderDetails
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import OrderState
from countermand.domain.ticketing.catalogue import I18n, Product

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


# The garbage collector need not look at these objects (`gc=False`), because none of them leads back to itself. In JSON
# each is a list (`array_like`), so that a database does not repeat the names of columns with every row.
class LineRow(Struct, gc=False, array_like=True):
    """A line of an order."""

    product_uid: str
    quantity: int
    parent_uid: str | None


class TicketRow(Struct, gc=False, array_like=True):
    """A ticket of an order."""

    uid: str
    product_uid: str
    code: str
    valid: bool


class ProductRow(Struct, gc=False, array_like=True):
    """A product of an order. Orders share the object of its `name`."""

    uid: str
    name: I18n
    price_minor: int
    service_costs_minor: int
    currency: str
    availability: int
    total_availability: int


class TicketOrderRows(Struct, gc=False):
    """A ticket order of a contract that this node has, with its lines, its tickets, and the products of its lines.

    `products` has each product once, in the order of the lines. `details` is always a document that this version reads.
    """

    order_id: int
    contract: str
    client_id: int
    version: int
    state: str
    first_payment_at: int | None
    refunded_in_full: bool
    created_at: int
    uid: str
    reference: str
    details: TicketOrderDetails
    lines: list[LineRow]
    tickets: list[TicketRow]
    products: list[ProductRow]

    @property
    def view(self) -> OrderView:
        """The same order as a view."""
        return OrderView(
            order=Order(
                id=OrderId(self.order_id),
                contract=ContractName(self.contract),
                kind=OrderKind.TICKET,
                uid=OrderUid(self.uid),
                reference=self.reference,
                client_id=ClientId(self.client_id),
                version=self.version,
                created_at=_instant(self.created_at),
                facts=OrderFacts(
                    state=known(OrderState, self.state),
                    first_payment_at=None if self.first_payment_at is None else _instant(self.first_payment_at),
                    refunded_in_full=self.refunded_in_full,
                ),
            ),
            details=self.details,
            lines=tuple(
                Line(product_uid=one.product_uid, quantity=one.quantity, parent_uid=one.parent_uid)
                for one in self.lines
            ),
            products=tuple(
                Product(
                    uid=one.uid,
                    name=one.name,
                    price=Money(minor=one.price_minor, currency=one.currency),
                    service_costs=Money(minor=one.service_costs_minor, currency=one.currency),
                    availability=one.availability,
                    total_availability=one.total_availability,
                )
                for one in self.products
            ),
            tickets=tuple(
                Ticket(uid=one.uid, product_uid=one.product_uid, code=one.code, valid=one.valid) for one in self.tickets
            ),
        )


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
