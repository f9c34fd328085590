"""At every instant of any history, the answer about the past is the decision that was right then."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from countermand.actions.appointments.set import (
    advance_appointment,
    cancel_appointment,
    move_appointment,
    set_appointment,
)
from countermand.actions.cancelling.explain import PolicyArchive, explain
from countermand.actions.cancelling.explain_past import explain_past
from countermand.actions.errors import ConflictError, NotFoundError
from countermand.actions.ordering.record_progress import advance_order, record_payment
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import AppointmentId, AppointmentState
from countermand.domain.cancelling.decision import Decision, Granted
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import NO_MOVES, Transition
from countermand.storage.tables.cancelling import outbox
from support.contracts import CONNECT
from support.money import bounce, euros, pay, pay_back, take_back, void
from support.shared_world import Services, shared_world
from support.world import Caller, World

world = shared_world

MICROSECOND = timedelta(microseconds=1)
STEPS = 20


@dataclass
class Life:
    """An order to which anything happens, and the decision that was right at each instant between."""

    world: World
    drawn: random.Random
    owner: Caller
    order_id: OrderId
    is_ticket: bool
    right: dict[datetime, Decision] = field(default_factory=dict)

    async def live(self) -> None:
        """Do one thing after the other. Just before and after each, and in between, note what is right."""
        for _ in range(STEPS):
            self.world.clock.now += timedelta(minutes=self.drawn.randint(1, 300), microseconds=self.drawn.randint(2, 9))
            await self.note()
            self.world.clock.now += MICROSECOND
            await self.happen()
            self.world.clock.now += MICROSECOND
            await self.note()

    async def note(self) -> None:
        at = self.world.clock.now
        policies = self.world.database.policies
        said = await explain(self.world.database.store, policies, lambda: at, self.order_id, owner=None)
        self.right[at] = said.decision

    async def happen(self) -> None:
        ways: list[Callable[[], Awaitable[object]]] = [self.advance, self.advance, self.visit, self.visit, self.pay]
        if self.drawn.random() < 0.15:
            ways = [self.ask, self.void, self.money_goes]
        try:
            await self.drawn.choice(ways)()
        except (ConflictError, NotFoundError):
            return  # it was not possible, which is part of life

    async def change(self, action: Any, *given: Any) -> None:
        async with self.world.database.store.transaction() as tx:
            await action(tx, Actor(self.owner.client.id), self.order_id, *given, self.world.clock())

    async def advance(self) -> None:
        await self.change(advance_order, self.drawn.choice([one for one in Transition if one not in NO_MOVES]))

    async def visit(self) -> None:
        starts_at = self.world.clock() + timedelta(hours=self.drawn.randint(1, 60))
        times = starts_at, starts_at + timedelta(hours=4)
        ids = [AppointmentId(row["id"]) for row in await self.world.rows("appointments", self.order_id)]
        if not ids:
            await self.change(set_appointment, *times)
            return
        one = self.drawn.choice(ids)
        states = [AppointmentState.IN_PROGRESS, AppointmentState.COMPLETED, AppointmentState.INCOMPLETE]
        await self.drawn.choice(
            [
                lambda: self.change(set_appointment, *times),
                lambda: self.change(move_appointment, one, *times),
                lambda: self.change(cancel_appointment, one),
                lambda: self.change(advance_appointment, one, self.drawn.choice(states)),
            ]
        )()

    async def pay(self) -> None:
        if self.drawn.random() < 0.3:
            money = Money(minor=self.drawn.choice([500, 2500]), currency="EUR")
            await self.change(record_payment, self.drawn.randbytes(8).hex(), money)

    async def void(self) -> None:
        paid = [row["reference"] for row in await self.world.rows("payments", self.order_id)]
        if paid:
            await void(self.world, self.order_id, self.drawn.choice(paid))
            # A void begins a new time to pay, and the service must not do anything by itself here.
            async with self.world.database.store.transaction() as tx:
                await tx.forget_expiry(self.order_id)

    async def money_goes(self) -> None:
        go = self.drawn.choice([pay_back, take_back])
        await go(self.world, self.order_id, self.drawn.randbytes(8).hex(), Money(minor=100, currency="EUR"))

    async def ask(self) -> None:
        at = self.world.clock.now
        policies = self.world.database.policies
        said = await explain(self.world.database.store, policies, lambda: at, self.order_id, owner=None)
        self.right[at] = said.decision  # at the very instant of a decision, it is that decision
        await self.world.cancel(self.owner, self.order_id)

    async def answer(self, at: datetime) -> Decision | None:
        """The decision of then, or None for "nobody knows"."""
        store, policies = self.world.database.store, self.world.database.policies
        archive = PolicyArchive(store=store)
        try:
            said = await explain_past(store, archive, policies, self.order_id, at=at, now=self.world.clock.now)
        except ConflictError as error:
            if error.code != "past_unknown":
                raise
            return None
        return said.decision


async def a_life(world: World, seed: int) -> Life:
    drawn = random.Random(seed)
    is_ticket = seed % 3 == 0
    if is_ticket:
        owner = await world.shopping_client()
        order_id = (await world.ticket_order(owner)).order.id
        async with world.database.store.transaction() as tx:
            await tx.forget_expiry(order_id)  # the service must not do anything by itself here
    else:
        owner = await world.connect_client(f"partner-{seed}")
        order_id = await world.service_order(owner)
    life = Life(world, drawn, owner, order_id, is_ticket)
    await life.note()
    await life.live()
    world.clock.forward(hours=1)
    return life


@pytest.mark.parametrize("seeds", [range(start, start + 6) for start in range(0, 12, 6)], ids=str)
async def test_at_every_instant_of_any_history_the_answer_is_the_decision_of_then(world: World, seeds: range):
    different = set()
    for seed in seeds:
        life = await a_life(world, seed)
        for at, right in life.right.items():
            assert await life.answer(at) == right, (seed, at)
        different |= {(type(one), *(finding.passed for finding in one.findings)) for one in life.right.values()}
    assert len(different) > 2  # otherwise the histories would prove little


@pytest.mark.parametrize("seeds", [range(100, 105)], ids=str)
async def test_with_events_deleted_the_answer_is_still_the_decision_of_then_or_none(world: World, seeds: range):
    known, unknown = 0, 0
    for seed in seeds:
        life = await a_life(world, seed)
        versions = sorted({row["order_version"] for row in await world.rows("outbox", life.order_id)})
        gone = life.drawn.sample(versions, k=min(len(versions), life.drawn.randint(1, 3)))
        mine = outbox.c.order_id == life.order_id, outbox.c.order_version.in_(gone)
        async with world.database.store.transaction() as tx:
            await tx.run(delete(outbox).where(*mine))
        for at, right in life.right.items():
            answer = await life.answer(at)
            known, unknown = known + (answer is not None), unknown + (answer is None)
            assert answer in (None, right), (seed, at, gone)
    assert known > 50
    assert unknown > 20


@pytest.mark.parametrize("on", ["sqlite", "postgres"])
async def test_a_refund_that_came_back_counts_for_the_instants_before_that(services_of_the_file: Services, on: str):
    rules = [{"name": "state_allows"}, {"name": "nothing_paid", "refunded": "ignored"}]
    world = await services_of_the_file.world(on, policies={CONNECT.name: rules})
    owner = await world.connect_client()
    order_id = await world.service_order(owner)
    life = Life(world, random.Random(0), owner, order_id, is_ticket=False)
    for change in (
        pay(world, order_id, "psp 1", euros(100)),
        pay_back(world, order_id, "re 1", euros(100)),
        bounce(world, order_id, "re 1"),
        pay_back(world, order_id, "re 2", euros(100)),
    ):
        world.clock.forward(minutes=1)
        await change
        world.clock.now += MICROSECOND
        await life.note()
    world.clock.forward(minutes=1)
    assert [isinstance(one, Granted) for one in life.right.values()] == [False, True, False, True]
    assert [await life.answer(at) for at in life.right] == list(life.right.values())
