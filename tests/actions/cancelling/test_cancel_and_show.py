"""What an answer shows is read after the commit: late, if need be, and never at the cost of the answer."""

import asyncio

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.group_commit import GroupCommit
from countermand.actions.cancelling.read_back import CancelAndShow, ReadBack
from countermand.actions.errors import UnavailableError
from support.shared_world import shared_world
from support.world import World

world = shared_world


class Away:
    """The store's `views`, which fails so many times before it works, and counts."""

    def __init__(self, world: World, times: float):
        self.views_of, self.left, self.asked = world.database.cancellations.views, times, []

    async def views(self, order_ids):
        self.asked.append(list(order_ids))
        if self.left > 0:
            self.left -= 1
            raise UnavailableError("away")
        return await self.views_of(order_ids)


def showing(world: World, store: Away, *, limit_s: float) -> CancelAndShow:
    read_back: GroupCommit = GroupCommit(run=ReadBack(store=store, limit_s=limit_s))
    return CancelAndShow(commit=world.service.commit, read_back=read_back)


async def test_an_order_that_can_be_read_only_later_is_shown_then(world: World):
    shop = await world.shopping_client()
    order = (await world.ticket_order(shop)).order
    store = Away(world, 2)

    outcome = await showing(world, store, limit_s=30).submit(world.command(shop, order.id, wants_order=True))

    assert outcome.view.order.state == "cancelled"
    assert len(store.asked) == 3


async def test_an_order_that_cannot_be_read_back_is_cancelled_all_the_same(world: World):
    shop = await world.shopping_client()
    order = (await world.ticket_order(shop)).order

    outcome = await showing(world, Away(world, float("inf")), limit_s=0.05).submit(
        world.command(shop, order.id, wants_order=True)
    )

    assert outcome == Cancelled(order_id=order.id)
    assert [row["state"] for row in await world.rows("orders")] == ["cancelled"]
    assert len(await world.rows("cancellations")) == 1


async def test_nobody_is_read_back_who_did_not_ask_or_was_not_cancelled(world: World):
    shop = await world.shopping_client()
    silent, paid = (await world.ticket_order(shop)).order, (await world.ticket_order(shop, paid=True)).order
    store = Away(world, 0)
    both = showing(world, store, limit_s=1)

    yes, no = await asyncio.gather(
        both.submit(world.command(shop, silent.id)), both.submit(world.command(shop, paid.id, wants_order=True))
    )

    assert yes == Cancelled(order_id=silent.id)
    assert isinstance(no, NotCancelled)
    assert store.asked == []


async def test_those_who_want_no_view_do_not_wait_for_those_who_do(world: World):
    shop, partner = await world.shopping_client(), await world.connect_client()
    shown, silent = (await world.ticket_order(shop)).order, await world.service_order(partner)
    store = Away(world, float("inf"))
    both = showing(world, store, limit_s=60)
    slow = asyncio.create_task(both.submit(world.command(shop, shown.id, wants_order=True)))

    assert await both.submit(world.command(partner, silent)) == Cancelled(order_id=silent)

    assert not slow.done()
    store.left = 0
    assert (await slow).view.order.id == shown.id
