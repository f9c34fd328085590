"""What an answer shows is read after the commit: late, if need be, and never at the cost of the answer."""

import asyncio
from dataclasses import replace

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.group_commit import GroupCommit
from countermand.actions.cancelling.read_back import CancelAndShow, ReadBack, ReadBackWithHistory
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


class AwayForHistories:
    """The store's `snapshot`, which fails so many times before it works."""

    def __init__(self, world: World, times: float):
        self.snapshot_of, self.left = world.database.store.snapshot, times

    def snapshot(self):
        if self.left > 0:
            self.left -= 1
            raise UnavailableError("away")
        return self.snapshot_of()


def showing_history(world: World, store: AwayForHistories, *, limit_s: float) -> CancelAndShow:
    return replace(world.service.cancel, read_back_with_history=ReadBackWithHistory(store=store, limit_s=limit_s))


def showing(world: World, store: Away, *, limit_s: float) -> CancelAndShow:
    read_back: GroupCommit = GroupCommit(run=ReadBack(store=store, limit_s=limit_s))
    with_history = ReadBackWithHistory(store=world.database.store, limit_s=limit_s)
    return CancelAndShow(commit=world.service.commit, read_back=read_back, read_back_with_history=with_history)


async def test_an_order_that_can_be_read_only_later_is_shown_then(world: World):
    shop = await world.shopping_client()
    order = (await world.ticket_order(shop)).order
    store = Away(world, 2)

    outcome = await showing(world, store, limit_s=30).submit_and_show(world.command(shop, order.id))

    assert outcome.view.order.state == "cancelled"
    assert len(store.asked) == 3


async def test_an_order_that_cannot_be_read_back_is_cancelled_all_the_same(world: World):
    shop = await world.shopping_client()
    order = (await world.ticket_order(shop)).order

    outcome = await showing(world, Away(world, float("inf")), limit_s=0.05).submit_and_show(
        world.command(shop, order.id)
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
        both.submit(world.command(shop, silent.id)), both.submit_and_show(world.command(shop, paid.id))
    )

    assert yes == Cancelled(order_id=silent.id)
    assert isinstance(no, NotCancelled)
    assert store.asked == []


async def test_an_operator_is_shown_the_history_that_the_cancellation_has_made(world: World):
    operator, shop = await world.manage_client(), await world.shopping_client()
    order = (await world.ticket_order(shop)).order
    store = AwayForHistories(world, 2)
    command = world.command(operator, order.id, on_behalf=True, reason="The customer rang")

    outcome = await showing_history(world, store, limit_s=30).submit_and_show_history(command)

    assert store.left == 0
    assert outcome.view.order.state == "cancelled"
    assert outcome.history.cancellation.command_id == command.command_id
    assert "order.cancelled" in [event.kind for event in outcome.history.events]


async def test_a_history_that_cannot_be_read_back_is_left_out_of_a_cancellation_that_stands(world: World):
    operator, shop = await world.manage_client(), await world.shopping_client()
    order = (await world.ticket_order(shop)).order
    away = showing_history(world, AwayForHistories(world, float("inf")), limit_s=0.05)

    outcome = await away.submit_and_show_history(world.command(operator, order.id, on_behalf=True, reason="r"))

    assert outcome == Cancelled(order_id=order.id)
    assert [row["order_id"] for row in await world.rows("cancellations")] == [order.id]


async def test_no_history_is_read_of_an_order_that_was_not_cancelled(world: World):
    operator, shop = await world.manage_client(), await world.shopping_client()
    paid = (await world.ticket_order(shop, paid=True)).order
    store = AwayForHistories(world, 1)

    outcome = await showing_history(world, store, limit_s=1).submit_and_show_history(
        world.command(operator, paid.id, on_behalf=True, reason="r")
    )

    assert isinstance(outcome, NotCancelled)
    assert store.left == 1


async def test_those_who_want_no_view_do_not_wait_for_those_who_do(world: World):
    shop, partner = await world.shopping_client(), await world.connect_client()
    shown, silent = (await world.ticket_order(shop)).order, await world.service_order(partner)
    store = Away(world, float("inf"))
    both = showing(world, store, limit_s=60)
    slow = asyncio.create_task(both.submit_and_show(world.command(shop, shown.id)))

    assert await both.submit(world.command(partner, silent)) == Cancelled(order_id=silent)

    assert not slow.done()
    store.left = 0
    assert (await slow).view.order.id == shown.id
