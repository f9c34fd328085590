"""Places an order for a telecom service."""

from datetime import datetime
from typing import Protocol

from msgspec import structs

from countermand.actions.ordering.insert_order import insert_with_event
from countermand.actions.ordering.ports import OrderInsertion
from countermand.actions.ordering.views import OrderView
from countermand.actions.ports import NumberSource
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import Order, OrderFacts, OrderId
from countermand.domain.orders.order_details import ServiceOrderDetails
from countermand.domain.orders.order_kind import OrderKind


class ServiceOrderTransaction(OrderInsertion, NumberSource, Protocol):
    """Implemented by a transaction in which a service order can be placed."""


async def place_service_order(
    tx: ServiceOrderTransaction,
    client_id: ClientId,
    details: ServiceOrderDetails,
    now: datetime,
    *,
    contract: ContractName,
) -> OrderView:
    """Place a telecom order over a contract, with its service, and return it. Counters give both their numbers."""
    order_number, service_number = await tx.next_numbers("order", "service")
    order_id, details = OrderId(order_number), structs.replace(details, service_id=service_number)
    order = Order(
        id=order_id,
        contract=contract,
        kind=OrderKind.SERVICE,
        uid=None,
        reference=str(order_id),
        client_id=client_id,
        version=1,
        created_at=now,
        facts=OrderFacts(state=OrderKind.SERVICE.opening_state),
    )
    view = OrderView(order=order, details=details)
    await insert_with_event(tx, view, now)
    return view
