"""How does an order look in an event for an application of the shopping contract? As the application reads it.

Ours: the contract's pages do not say. What reading an order does not show, such as the order's own token, is not in an
event, either.
"""

from countermand.actions.delivering.dialects import ShownOrder
from countermand.actions.ordering.views import OrderView
from countermand.contracts.http.resource_fields import fields_of
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.translate import order_shown


def order_in_event(view: OrderView, addresses: Addresses) -> ShownOrder:
    """Return the order in HAL, as its owner reads it, and its link `self`.

    Raises `UnavailableError` if this version cannot read the order's details.
    """
    order = order_shown(view, addresses)
    return ShownOrder(
        version=view.order.version,
        whole=fields_of(order),
        link={"_links": {"self": {"href": addresses.order(order.uid)}}},
    )
