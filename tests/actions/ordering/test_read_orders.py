"""A client's own orders, found by where they stand."""

from datetime import timedelta

from countermand.actions.ordering.ports import OrdersWanted
from countermand.actions.ordering.read_orders import list_orders_without_details
from countermand.domain.orders.order_state import OrderState
from support.database_contents import changed, contents
from support.world import World


async def test_a_clients_own_orders_are_found_by_state_visit_and_payment_newest_first(both_worlds: World):
    world = both_worlds
    me, other, shop = await world.connect_client(), await world.connect_client("other"), await world.shopping_client()
    plain, visited, later = [await world.service_order(me) for _ in range(3)]
    await world.appointment(visited, timedelta(hours=30))
    await world.service_order(other)
    unpaid, paid = [(await world.ticket_order(shop)).order for _ in range(2)]
    await world.pay(paid.id)
    before = await contents(world)

    async def found(caller, at_most=10, **wanted):
        listed = await list_orders_without_details(
            world.database.store, caller.client.id, OrdersWanted(**wanted), at_most
        )
        return [order.id for order in listed]

    assert await found(me) == [later, visited, plain]
    assert await found(me, at_most=2) == [later, visited]
    assert await found(me, has_visit=False) == [later, plain]
    assert await found(me, has_visit=True) == [visited]
    assert await found(me, states=frozenset({OrderState.ACTIVATED})) == []
    assert await found(shop, has_payment=False) == [unpaid.id]
    assert await found(shop, has_payment=True, states=frozenset({OrderState.COMPLETED})) == [paid.id]
    assert await found(shop, has_payment=True, states=frozenset({OrderState.PENDING})) == []
    (shown,) = await list_orders_without_details(
        world.database.store, shop.client.id, OrdersWanted(has_payment=False), 10
    )
    assert shown == unpaid
    assert changed(before, await contents(world)) == set()
