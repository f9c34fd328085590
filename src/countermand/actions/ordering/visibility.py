"""Which orders can this node show, and to whom? Over which orders can it decide?"""

from countermand.actions.errors import UnavailableError
from countermand.actions.ordering.views import OrderView
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.known import Unknown
from countermand.domain.orders.order import Order
from countermand.domain.orders.order_details import UnknownDetails


def is_spoken(order: Order) -> bool:
    """Return whether the contracts of this node can show an order. Their callers cannot see any other order."""
    return not isinstance(order.kind, Unknown)


def is_shown(view: OrderView) -> bool:
    """Return whether the contracts of this node can show an order and its details."""
    return is_spoken(view.order) and not isinstance(view.details, UnknownDetails)


def is_visible(view: OrderView, contract: ContractName, owner: ClientId | None) -> bool:
    """Return whether a contract's caller sees an order: one of this contract, and of `owner`, unless that is None."""
    return view.order.contract == contract and owner in {None, view.order.client_id} and is_shown(view)


def check_known(order: Order) -> None:
    """Raise `UnavailableError` for an order whose contract or state this node does not know.

    It is no refusal, because a refusal would be recorded and repeated under the same key: another node may say yes.
    """
    if not order.is_known:
        said = f"the order is {order.state} under the contract {order.contract}"
        raise UnavailableError(
            f"{said}, which this node does not know; nothing was done; send the request again, or to another node"
        )
