"""How does an order look in an event for a partner of the connect contract? As the partner reads it."""

from countermand.actions.delivering.dialects import ShownOrder
from countermand.actions.ordering.views import OrderView
from countermand.contracts.connect.orders import ORDERS
from countermand.contracts.connect.translate import order_shown
from countermand.contracts.http.resource_fields import fields_of


def order_in_event(view: OrderView, public_url: str) -> ShownOrder:
    """Return the order resource, as its owner reads it, and a link to it.

    Raises `UnavailableError` if this version cannot read the order's details.
    """
    return ShownOrder(
        version=view.order.version,
        whole=fields_of(order_shown(view)),
        link={"id": view.order.id, "href": f"{public_url}{ORDERS}/{view.order.id}"},
    )
