"""A refusal keeps the codes of the rules that it broke; the refusals of older nodes get theirs in small steps."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from countermand.actions.cancelling.cancel_orders import NotCancelled
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.background import refusal_codes
from countermand.background.refusal_codes import beginning, fill_codes, fill_some, place_to_go_on
from countermand.domain.orders.order import OrderId
from countermand.storage.tables.cancelling import refusals
from countermand.storage.tables.columns import instant
from support.beside import beside
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world

LIMIT_S = 120  # only guards against hanging
SOON = "appointment_within_notice"
BOTH = "order_already_cancelled order_not_cancellable"


@pytest.fixture
def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal_codes, "LOOKED_AT_ONCE", 3)
    monkeypatch.setattr(refusal_codes, "SWEEP_PAUSE_S", 0.0)
    monkeypatch.setattr(refusal_codes, "_AGAIN_AFTER_S", 0.01)


async def refused(world: World, partner: Caller, number: int) -> list[OrderId]:
    """Telecom orders whose cancellation was refused, each at another instant."""
    made = []
    for _ in range(number):
        order_id = await world.service_order(partner, appointment_in=timedelta(hours=20))
        assert isinstance(await world.cancel(partner, order_id), NotCancelled)
        world.clock.forward(seconds=1)
        made.append(order_id)
    return made


async def as_old_nodes_wrote_it(world: World, *order_ids: OrderId) -> None:
    async with world.database.store.transaction() as tx:
        await tx.run(update(refusals).where(refusals.c.order_id.in_(order_ids)).values(codes=None))


async def codes(world: World) -> dict[OrderId, str | None]:
    return {row["order_id"]: row["codes"] for row in await world.rows("refusals")}


async def all_have_codes(world: World) -> None:
    while None in (await codes(world)).values():  # noqa: ASYNC110 - only a look into the database tells
        await asyncio.sleep(0.01)


def archive(world: World) -> PolicyArchive:
    return PolicyArchive(store=world.database.store)


async def test_a_refusal_has_the_code_of_every_broken_rule_in_the_policys_order(world: World):
    partner, shop = await world.connect_client(), await world.shopping_client()
    (soon,) = await refused(world, partner, 1)
    twice = (await world.ticket_order(shop)).order.id
    await world.cancel(shop, twice)
    keyed = (await world.ticket_order(shop, paid=True)).order.id
    assert isinstance(await world.cancel(shop, twice), NotCancelled)
    assert isinstance(await world.cancel(shop, keyed, key="k"), NotCancelled)
    assert await codes(world) == {soon: SOON, twice: BOTH, keyed: "payment_recorded"}


@pytest.mark.usefixtures("in_small_steps")
async def test_two_nodes_fill_old_refusals_while_more_are_recorded_and_go_on_with_those_of_old_nodes(world: World):
    partner = await world.connect_client()
    old = await refused(world, partner, 10)
    await as_old_nodes_wrote_it(world, *old)
    stopping = asyncio.Event()
    async with beside(world) as other, asyncio.timeout(LIMIT_S):
        nodes = [asyncio.create_task(fill_codes(one.database.store, archive(one), stopping)) for one in (world, other)]
        new = await refused(other, partner, 3)
        await all_have_codes(world)
        await as_old_nodes_wrote_it(world, new[-1])  # an old node is still there
        await all_have_codes(world)
        stopping.set()
        await asyncio.gather(*nodes)
    assert await codes(world) == dict.fromkeys([*old, *new], SOON)


@pytest.mark.usefixtures("in_small_steps")
async def test_a_crash_between_two_steps_loses_nothing_and_nothing_else_of_a_row_changes(world: World):
    old = await refused(world, await world.connect_client(), 5)
    before = await world.rows("refusals")
    await as_old_nodes_wrote_it(world, *old)
    step = await fill_some(world.database.store, archive(world), beginning())
    assert step.filled == 3
    assert [one for one, filled in (await codes(world)).items() if filled] == sorted(old[:3])
    assert step.last is not None
    rest = await fill_some(world.database.store, archive(world), step.last)
    assert rest.filled == 2
    assert rest.last is not None
    assert (await fill_some(world.database.store, archive(world), rest.last)).last is None
    assert await world.rows("refusals") == before


async def test_refusals_of_one_instant_are_all_filled(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(refusal_codes, "LOOKED_AT_ONCE", 2)
    partner = await world.connect_client()
    order_id = await world.service_order(partner, appointment_in=timedelta(hours=20))
    await asyncio.gather(*(world.cancel(partner, order_id) for _ in range(5)))
    await as_old_nodes_wrote_it(world, order_id)
    after, filled = beginning(), 0
    while (step := await fill_some(world.database.store, archive(world), after)).last is not None:
        after, filled = step.last, filled + step.filled
    assert filled == 5
    assert {row["codes"] for row in await world.rows("refusals")} == {SOON}


async def test_a_refusal_by_a_policy_that_nobody_knows_stays_without_codes_and_keeps_no_other_waiting(world: World):
    unknown, known = await refused(world, await world.connect_client(), 2)
    await as_old_nodes_wrote_it(world, unknown, known)
    async with world.database.store.transaction() as tx:
        await tx.run(update(refusals).where(refusals.c.order_id == unknown).values(policy_version="f" * 16))
    step = await fill_some(world.database.store, archive(world), beginning())
    assert step.filled == 1
    assert await codes(world) == {unknown: None, known: SOON}
    assert step.last is not None
    assert (await fill_some(world.database.store, archive(world), step.last)).last is None


@pytest.mark.usefixtures("in_small_steps")
async def test_a_node_that_starts_goes_on_where_the_nodes_before_it_were(world: World):
    partner = await world.connect_client()
    old = await refused(world, partner, 4)
    world.clock.forward(hours=3)
    late = await refused(world, partner, 4)
    await as_old_nodes_wrote_it(world, *old, *late)
    assert await place_to_go_on(world.database.store) == beginning()
    await one_node_fills(world)
    reached = (await world.rows("refusals"))[-1]["decided_at"]
    assert await place_to_go_on(world.database.store) == beginning(instant(reached) - timedelta(hours=1))
    await as_old_nodes_wrote_it(world, *old, late[0])
    await one_node_fills(world)
    assert await codes(world) == dict.fromkeys(old) | dict.fromkeys(late, SOON)  # the old ones were not read again
    async with world.database.store.transaction() as tx:
        await tx.move_codes_progress(beginning())  # a node that is behind
        assert await tx.codes_progress() == instant(reached)


async def one_node_fills(world: World) -> None:
    """Run the task until it has seen all refusals."""
    stopping = asyncio.Event()
    reports: list[bool] = []

    def note(unfinished: bool) -> None:  # noqa: FBT001 - as the task calls it
        reports.append(unfinished)
        if len(reports) > 1:
            stopping.set()

    async with asyncio.timeout(LIMIT_S):
        await fill_codes(world.database.store, archive(world), stopping, note)
