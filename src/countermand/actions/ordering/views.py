"""An order with everything that a contract shows of it."""

from dataclasses import dataclass

from countermand.actions.ordering.readable_details import readable
from countermand.domain.appointments.appointment import Appointment
from countermand.domain.orders.order import Order
from countermand.domain.orders.order_details import (
    OrderDetails,
    ServiceOrderDetails,
    TicketOrderDetails,
)
from countermand.domain.orders.order_state import OrderState
from countermand.domain.ticketing.catalogue import Product


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of an order: `quantity` pieces of a product. `parent_uid` is the combo product of which it is a part."""

    product_uid: str
    quantity: int
    parent_uid: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A ticket for one place at one event. A valid ticket holds its place. See `OrderView.admits`."""

    uid: str
    product_uid: str
    code: str
    valid: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderView:
    """An order with everything that a contract shows of it. `details` is its document, of the type of its kind."""

    order: Order
    details: OrderDetails
    appointments: tuple[Appointment, ...] = ()
    lines: tuple[Line, ...] = ()
    products: tuple[Product, ...] = ()
    tickets: tuple[Ticket, ...] = ()

    @property
    def service_details(self) -> ServiceOrderDetails:
        """The details of a service order. Raises `UnavailableError` if this version cannot read them."""
        return readable(self.details, ServiceOrderDetails)

    @property
    def ticket_details(self) -> TicketOrderDetails:
        """The details of a ticket order. Raises `UnavailableError` if this version cannot read them."""
        return readable(self.details, TicketOrderDetails)

    def admits(self, ticket: Ticket) -> bool:
        """Return whether a ticket of the order gives entry. Before the order is completed, it only holds its place."""
        return ticket.valid and self.order.is_known and self.order.state is OrderState.COMPLETED
