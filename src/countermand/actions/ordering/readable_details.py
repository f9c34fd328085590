"""Returns the details of an order to an action that cannot work without them."""

from typing import TypeVar

from countermand.actions.errors import UnavailableError
from countermand.domain.orders.order_details import (
    OrderDetails,
    ServiceOrderDetails,
    TicketOrderDetails,
    UnknownDetails,
)

Kind = TypeVar("Kind", ServiceOrderDetails, TicketOrderDetails)


def readable(details: OrderDetails, kind: type[Kind]) -> Kind:
    """Return the details as those of this kind of order. Raises `UnavailableError` if this version cannot read them."""
    if isinstance(details, UnknownDetails):
        said = "a newer version than this node's wrote the details of the order"
        raise UnavailableError(f"{said}; nothing was done; send the request again, or to another node")
    assert isinstance(details, kind), "the caller knows the kind of the order"
    return details
