"""Place an order for a telecom service to be delivered."""

from datetime import datetime

from msgspec import structs

from countermand.actions.ordering.insert_order import insert_with_event
from countermand.actions.ports import OrderView, Transaction
from countermand.domain.client import ClientId
from countermand.domain.contract import Contract
from countermand.domain.orders.order import Order, OrderFacts, OrderId
from countermand.domain.orders.order_details import ServiceOrderDetails
from countermand.domain.orders.order_state import OPENING_STATE


async def place_service_order(
    tx: Transaction, client_id: ClientId, details: ServiceOrderDetails, now: datetime
) -> OrderView:
    """Place a telecom order, and with it the service it is for. Their numbers are counted up."""
    order_id = OrderId(await tx.next_number("order"))
    details = structs.replace(details, service_id=await tx.next_number("service"))
    order = Order(
        id=order_id,
        contract=Contract.CONNECT,
        uid=None,
        reference=str(order_id),
        client_id=client_id,
        version=1,
        created_at=now,
        facts=OrderFacts(state=OPENING_STATE[Contract.CONNECT]),
    )
    return await insert_with_event(tx, OrderView(order=order, details=details), now)
