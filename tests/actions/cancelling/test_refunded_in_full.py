"""A policy that ignores refunded payments lets orders through that were refunded in full, and no other paid order."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, update

from countermand.actions.appointments.set import cancel_appointment
from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.explain import explain
from countermand.actions.errors import ConflictError
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import AppointmentId
from countermand.domain.cancelling.decision import Granted
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.storage.tables.columns import micros
from countermand.storage.tables.orders import orders, payments
from support.contracts import CONNECT
from support.money import assign, pay, pay_back, row_of, take_back, void
from support.world import Caller, World, a_world

RULES: Final = [{"name": "state_allows"}, {"name": "nothing_paid", "refunded": "ignored"}]
POLICIES: Final = {CONNECT.name: RULES}
WAYS: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {"on": "sqlite"},
    "at once": {"on": "postgres"},
    "in parts": {"on": "postgres", "database_distributed": True},
}


@dataclass(frozen=True)
class Pay:
    minor: int
    currency: str = "EUR"


@dataclass(frozen=True)
class Back:
    """Money goes back: a part, or all that is left of the currency."""

    minor: int | None
    currency: str = "EUR"
    is_refund: bool = True


@dataclass(frozen=True)
class Void:
    which: int


@dataclass(frozen=True)
class Visit:
    """A visit is agreed, or the one that was is called off."""


@dataclass(frozen=True)
class OldPay:
    """A node of before this schema records a payment."""

    minor: int


@dataclass(frozen=True)
class OldChange:
    """A node of before this schema changes the order."""


@dataclass(frozen=True)
class Cancel:
    """The owner asks to cancel the order."""


Act = Pay | Back | Void | Visit | OldPay | OldChange | Cancel
_currencies = st.sampled_from(["EUR", "EUR", "USD"])
_back = st.builds(Back, st.none() | st.none() | st.integers(1, 30), _currencies, is_refund=st.booleans())
_acts = st.one_of(
    st.builds(Pay, st.integers(1, 30), _currencies),
    _back,
    _back,
    st.builds(Void, st.integers(0, 5)),
    st.just(Visit()),
    st.builds(OldPay, st.integers(1, 30)),
    st.just(OldChange()),
    st.just(Cancel()),
)


class Opened:
    """A service, and who calls it. (No dataclass: a failure would show everything in it.)"""

    def __init__(self, runner: asyncio.Runner, world: World, owner: Caller) -> None:
        self.runner, self.world, self.owner = runner, world, owner


@pytest.fixture(scope="module", params=WAYS)
def opened(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Opened]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        how = WAYS[request.param]
        folder = tmp_path_factory.mktemp("refunded")
        world = runner.run(stack.enter_async_context(a_world(folder, policies=POLICIES, **how)))
        try:
            yield Opened(runner, world, runner.run(world.connect_client()))
        finally:
            runner.run(stack.aclose())


_references = itertools.count()


class Story:
    """What happens to one order, beside what must be true of it."""

    def __init__(self, world: World, owner: Caller, order_id: OrderId) -> None:
        self.world, self.owner, self.order_id = world, owner, order_id
        self.old_changed = False  # whether an older node changed it since the last money that a new node recorded
        self.visit: AppointmentId | None = None

    async def left(self) -> Counter[str] | None:
        """What is left of each currency, summed here by other means than the service's; None if nothing stands."""
        paid = [row for row in await self.world.rows("payments", self.order_id) if not row["is_late"]]
        if all(row["voided_at"] is not None for row in paid):
            return None
        left = Counter[str]()
        for row in paid:
            left[row["currency"]] += row["amount_minor"]
        for row in await self.world.rows("payment_corrections", self.order_id):
            if row["kind"] == "chargeback" or row["state"] == "done":
                left[row["currency"]] -= row["amount_minor"]
        return left

    async def is_refunded(self) -> bool:
        left = await self.left()
        return left is not None and max(left.values()) <= 0

    async def do(self, act: Act) -> None:
        world, of, reference = self.world, self.order_id, f"r {next(_references)}"
        with suppress(ConflictError):  # more than is there, or there is no such payment, or the order has ended
            match act:
                case Pay():
                    await pay(world, of, reference, Money(minor=act.minor, currency=act.currency))
                    self.old_changed &= (await row_of(world, of))["state"] != "cancelled"
                case Back():
                    left = (await self.left() or Counter())[act.currency] if act.minor is None else act.minor
                    if left > 0:
                        go = pay_back if act.is_refund else take_back
                        await go(world, of, reference, Money(minor=left, currency=act.currency))
                        self.old_changed = False
                case Void():
                    if paid := await world.rows("payments", of):
                        one = paid[act.which % len(paid)]
                        await void(world, of, one["reference"])
                        self.old_changed &= one["voided_at"] is not None
                case Visit():
                    await self._visit()
                case OldPay() | OldChange():
                    await self._by_an_older_node(act, reference)
                case Cancel():
                    await self._cancel()

    async def _visit(self) -> None:
        if self.visit is None:
            self.visit = (await self.world.appointment(self.order_id, timedelta(days=9))).id
            return
        async with self.world.database.store.transaction() as tx:
            actor = Actor(self.owner.client.id)
            await cancel_appointment(tx, actor, self.order_id, self.visit, self.world.clock())
        self.visit = None

    async def _by_an_older_node(self, act: OldPay | OldChange, reference: str) -> None:
        row, now = await row_of(self.world, self.order_id), micros(self.world.clock())
        if row["state"] == "cancelled":
            return
        changed = {"version": row["version"] + 1}
        async with self.world.database.store.transaction() as tx:
            if isinstance(act, OldPay):
                paid = {"order_id": self.order_id, "reference": reference, "amount_minor": act.minor, "currency": "EUR"}
                await tx.run(insert(payments).values(paid | {"recorded_at": now, "is_late": False}))
                changed["first_payment_at"] = min(row["first_payment_at"] or now, now)
            await tx.run(update(orders).where(orders.c.id == self.order_id).values(changed))
        self.old_changed = True

    async def _cancel(self) -> None:
        world = self.world
        before = await row_of(world, self.order_id)
        explained = await explain(world.database.store, world.database.policies, world.clock, self.order_id, owner=None)
        outcome = await world.cancel(self.owner, self.order_id)
        assert isinstance(outcome, Cancelled) == isinstance(explained.decision, Granted)
        may = before["state"] == "submitted" and (before["first_payment_at"] is None or says_refunded(before))
        assert isinstance(outcome, Cancelled) == may
        if may:
            assert before["first_payment_at"] is None or await self.is_refunded(), "a paid order is never cancelled"
            (record,) = await world.rows("cancellations", self.order_id)
            assert record["refunded_in_full"] is (True if says_refunded(before) else None)
        else:
            newest = max(await world.rows("refusals", self.order_id), key=lambda one: one["decided_at"])
            assert newest["refunded_in_full"] is (True if says_refunded(before) else None)

    async def check(self) -> None:
        row, is_refunded = await row_of(self.world, self.order_id), await self.is_refunded()
        assert not says_refunded(row) or is_refunded, "never does a paid order look refunded"
        if not self.old_changed:
            assert says_refunded(row) == is_refunded
        in_time = [one for one in await self.world.rows("payments", self.order_id) if not one["is_late"]]
        stand = [one["recorded_at"] for one in in_time if one["voided_at"] is None]
        assert row["first_payment_at"] == min(stand, default=None)


def says_refunded(row: dict[str, Any]) -> bool:
    return row["refunded_version"] == row["version"]


@settings(deadline=None, max_examples=40, phases=[Phase.explicit, Phase.generate])
@given(acts=st.lists(_acts, min_size=3, max_size=14))
@example(acts=[Pay(5), Back(None), Visit(), Cancel(), Pay(3), Back(3)])
@example(acts=[Pay(5), Back(4), Cancel(), Back(None), OldPay(2), Cancel(), Back(None), Cancel()])
@example(acts=[Pay(5), Back(None), OldChange(), Cancel(), Visit(), Cancel(), Pay(2), Void(1), Cancel()])
@example(acts=[Pay(5), Pay(2, "USD"), Back(None), Cancel(), Back(None, "USD", is_refund=False), Cancel()])
@example(acts=[Pay(5), Back(5), Back(5, is_refund=False), Pay(4), Pay(1), Pay(1), Cancel()])
def test_the_column_says_what_the_payments_and_their_corrections_say(opened: Opened, acts: list[Act]):
    async def lives() -> None:
        order_id = await opened.world.service_order(opened.owner)
        story = Story(opened.world, opened.owner, order_id)
        for act in acts:
            opened.world.clock.forward(seconds=1)
            await story.do(act)
            await story.check()

    opened.runner.run(lives())


def test_assigned_late_money_makes_a_refunded_order_paid_again(opened: Opened):
    async def lives() -> None:
        world, owner = opened.world, opened.owner
        ended, refunded = [await world.service_order(owner) for _ in range(2)]
        assert isinstance(await world.cancel(owner, ended), Cancelled)
        late, other = (f"late {next(_references)}" for _ in range(2))
        await pay(world, ended, late, Money(minor=5, currency="EUR"))
        await pay(world, refunded, other, Money(minor=7, currency="EUR"))
        await pay_back(world, refunded, f"back {other}", Money(minor=7, currency="EUR"))
        assert says_refunded(await row_of(world, refunded))

        await assign(world, ended, late, refunded)

        assert not says_refunded(await row_of(world, refunded))
        assert not says_refunded(await row_of(world, ended)), "late money was never a payment of the order"
        assert isinstance(await world.cancel(owner, refunded), NotCancelled)

    opened.runner.run(lives())


def test_a_payment_and_a_cancellation_of_a_refunded_order_at_once_have_one_winner(opened: Opened):
    async def lives() -> None:
        world, owner = opened.world, opened.owner
        for _ in range(8):
            order_id = await world.service_order(owner)
            for minor in (5, 6):
                reference = f"r {next(_references)}"
                await pay(world, order_id, reference, Money(minor=minor, currency="EUR"))
                await pay_back(world, order_id, f"back {reference}", Money(minor=minor, currency="EUR"))
            more = pay(world, order_id, f"r {next(_references)}", Money(minor=1, currency="EUR"))
            recorded, outcome = await asyncio.gather(more, world.cancel(owner, order_id))
            assert recorded.payment.is_late == isinstance(outcome, Cancelled)

    opened.runner.run(lives())


def test_a_kept_refusal_of_a_refunded_order_is_the_same_answer_later(opened: Opened):
    async def lives() -> None:
        world, owner = opened.world, opened.owner
        order_id = await world.service_order(owner)
        reference = f"r {next(_references)}"
        await pay(world, order_id, reference, Money(minor=5, currency="EUR"))
        paid = await world.cancel(owner, order_id, key=f"paid {order_id}")
        await pay_back(world, order_id, reference, Money(minor=5, currency="EUR"))
        cancelled = await world.cancel(owner, order_id, key=f"refunded {order_id}")
        ended = await world.cancel(owner, order_id, key=f"ended {order_id}")

        assert isinstance(paid, NotCancelled)
        assert paid.refused.codes == ("payment_recorded",)
        assert isinstance(cancelled, Cancelled)
        assert isinstance(ended, NotCancelled)
        assert ended.refused.codes == ("order_not_cancellable",), "what was refunded stays refunded after the end"
        repeated = [
            await world.cancel(owner, order_id, key=f"{key} {order_id}") for key in ("paid", "refunded", "ended")
        ]
        assert repeated[0] == paid
        assert isinstance(repeated[1], Cancelled)
        assert repeated[2] == ended
        keys = {row["key"]: row["refunded_in_full"] for row in await world.rows("idempotency_keys", order_id)}
        assert keys == {f"paid {order_id}": None, f"refunded {order_id}": None, f"ended {order_id}": True}

    opened.runner.run(lives())
