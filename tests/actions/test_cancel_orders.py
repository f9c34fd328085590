from datetime import timedelta

from support.world import World

from countermand.actions.cancel_orders import Cancelled, NotCancelled


async def test_an_order_is_cancelled_once_and_one_fact_leaves(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    assert isinstance(await world.cancel(me, order_id), Cancelled)
    assert isinstance(await world.cancel(me, order_id), NotCancelled)
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]
    assert [row["state"] for row in await world.rows("appointments", order_id)] == ["cancelled"]
    kinds = [row["kind"] for row in await world.rows("outbox", order_id)]
    assert kinds.count("order.cancelled") == 1
    assert kinds.count("appointment.cancelled") == 1
    assert len(await world.rows("cancellations", order_id)) == 1
    assert len(await world.rows("refusals", order_id)) == 1
