"""Makes the calls of the person at the desk, for the examples of the OpenAPI document."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete

from countermand.domain.instants import written_instant
from countermand.domain.orders.order import OrderId
from countermand.storage.tables.cancelling import outbox

if TYPE_CHECKING:
    from support.examples import Recorder

SOON: Final = timedelta(seconds=30)


LISTS: Final = ("listCancellations", "listRefusals", "listLatePayments", "listPartPayments", "countRefusals")

OF_BOTH: Final = ("listCancellations", "listRefusals")  # ticket orders stand in another order each time


async def looked_at_lists(it: "Recorder", order: dict[str, Any]) -> None:
    """All lists, with an order that is paid in part."""
    placed = (await it.call("shopping", "createOrder", order, keep=False)).json()
    part = {"reference": "psp-20261121-19", "amount": 10, "currency": "EUR"}
    await it.call("manage", "recordPayment", part, id=f"shopping-{placed['uid']}", keep=False)
    for name in LISTS:
        await it.call("manage", name, query="?contract=connect" if name in OF_BOTH else "")
        await it.call("manage", name, query="?client=me")


async def asked_about_the_past(it: "Recorder", service_order: dict[str, Any]) -> None:
    """An order whose events are not kept any more."""
    order = (await it.call("connect", "createOrder", service_order, keep=False)).json()["id"]
    placed = it.world.clock.now
    it.world.clock.forward(minutes=1)
    await it.call("manage", "advanceOrder", {"move": "accept"}, id=f"connect-{order}", keep=False)
    it.world.clock.forward(minutes=1)
    async with it.world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == OrderId(order)))
    for then in (placed + SOON, placed - SOON):
        await it.call("manage", "explainOrder", id=f"connect-{order}", query=f"?at={written_instant(then)}")
