"""Joins what delivery needs of the contracts: their dialects, and how their orders look in events."""

from collections.abc import Callable, Sequence

from countermand.actions.delivering.dialects import Dialects, ShownOrder
from countermand.actions.ordering.views import OrderView
from countermand.contracts.http.contract import Contract, Deployment
from countermand.delivery.dialects import STANDARD_DIALECTS


def dialects_of(contracts: Sequence[Contract]) -> Dialects:
    """Return the dialects of a node: those of the standards, and those of its contracts."""
    return Dialects([*STANDARD_DIALECTS, *(dialect for contract in contracts for dialect in contract.dialects())])


def order_shower(contracts: Sequence[Contract], deployment: Deployment) -> Callable[[OrderView], ShownOrder | None]:
    """Return the function that shows an order in events; it returns None for the order of a contract that is not here.

    The function raises `UnavailableError` if this version cannot read the order's details.
    """
    by_name = {contract.name: contract for contract in contracts}

    def shown(view: OrderView) -> ShownOrder | None:
        contract = by_name.get(view.order.contract)
        return None if contract is None else contract.order_in_event(view, deployment)

    return shown
