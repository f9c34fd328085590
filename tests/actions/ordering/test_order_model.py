"""Orders of both contracts against a plain model of what should become of them, by any way through their life."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from countermand.actions.appointments.set import cancel_appointment, move_appointment, set_appointment
from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.errors import ConflictError, NotFoundError
from countermand.actions.ordering.record_progress import advance_order, record_payment
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import AppointmentId
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import NO_MOVES, TRANSITIONS, Transition
from countermand.storage.tables.columns import micros
from support.money import void
from support.outside import Outside, outside
from support.restores import UNDO_WINDOW, restore
from support.world import Caller, World, a_world

STOCK = 6
NOTICE = timedelta(hours=26)
ENDED = {"cancelled", "expired", "failed"}
HOURS = st.sampled_from([1, 5, 25, 26, 27, 30, 60])


@dataclass(frozen=True)
class Before:
    """What the model knows of an order from before it was cancelled, and who cancelled it when."""

    state: str
    visit_at: datetime | None
    cancelled_at: datetime
    by_operator: bool
    voided: int


@dataclass
class Expected:
    """What the model thinks of an order."""

    id: OrderId
    owner: Caller
    state: str
    product: str | None = None
    quantity: int = 0
    version: int = 1
    visit_at: datetime | None = None
    visits: list[AppointmentId] = field(default_factory=list)
    paid_at: datetime | None = None
    money: dict[str, bool] = field(default_factory=dict)  # by reference: whether it came late
    paid: dict[str, datetime] = field(default_factory=dict)  # the payments in time that were not voided
    voided: set[str] = field(default_factory=set)
    undone: int = 0
    before: "Before | None" = None  # while the order is cancelled

    @property
    def may_be_advanced(self) -> set[str]:
        return {move.value for move in TRANSITIONS[self.state]} - NO_MOVES

    def may_be_cancelled(self, now: datetime) -> bool:
        if self.product is not None:
            return self.state in {"pending", "completed"} and self.paid_at is None
        in_time = self.visit_at is None or now < self.visit_at - NOTICE
        return in_time and self.state in {"submitted", "accepted", "in_progress", "held", "rejected"}

    @property
    def is_covered(self) -> bool:
        return 2500 * len(self.paid) >= 1250 * self.quantity

    def ends(self, state: str) -> None:
        self.state = state
        if state in ENDED:
            self.visit_at = None


class Orders(RuleBasedStateMachine):
    """Every rule does one thing to both, the service and the model; every invariant compares them."""

    orders = Bundle("orders")
    runner: asyncio.Runner
    world: World
    partners: list[Caller]
    shops: list[Caller]
    operator: Caller
    outside: Outside

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(doing)

    async def change(self, action: Any, *asked: Any) -> Any:
        async with self.world.database.store.transaction() as tx:
            return await action(tx, Actor(self.operator.client.id), *asked, self.world.clock())

    @initialize()
    def two_products(self) -> None:
        self.expected: dict[OrderId, Expected] = {}
        self.products = [self.run(self.world.product(stock=STOCK)) for _ in range(2)]

    @rule(target=orders, owner=st.integers(0, 1))
    def a_service_is_ordered(self, owner: int) -> Expected:
        order_id = self.run(self.world.service_order(self.partners[owner]))
        return self.expect(Expected(order_id, self.partners[owner], "submitted"))

    @rule(target=orders, owner=st.integers(0, 1), product=st.integers(0, 1), quantity=st.integers(1, 4))
    def tickets_are_ordered(self, owner: int, product: int, quantity: int) -> Any:
        shop, uid = self.shops[owner], self.products[product]
        sold = sum(e.quantity for e in self.expected.values() if e.product == uid and e.state not in ENDED)
        view, code = None, None
        try:
            view = self.run(self.world.ticket_order(shop, product=uid, quantity=quantity))
        except ConflictError as error:
            code = error.code
        assert code == (None if sold + quantity <= STOCK else "insufficient_products")
        if view is None:
            return multiple()
        return self.expect(Expected(view.order.id, shop, "pending", uid, quantity))

    @rule(order=orders, hours=HOURS)
    def a_visit_is_agreed(self, order: Expected, hours: int) -> None:
        starts_at, ends_at = self.times(hours)
        refusal = None
        if not TRANSITIONS[order.state]:
            refusal = "order_ended"
        elif order.visit_at is not None:
            refusal = "has_appointment"
        visit = self.attempt(set_appointment, order.id, starts_at, ends_at, refusal=refusal)
        if visit is not None:
            order.visits.append(visit.id)
            order.visit_at, order.version = starts_at, order.version + 1

    @rule(order=orders, hours=HOURS, which=st.integers(0, 3))
    def a_visit_is_moved(self, order: Expected, hours: int, which: int) -> None:
        if not order.visits:
            return
        visit = order.visits[which % len(order.visits)]
        starts_at, ends_at = self.times(hours)
        refusal = None
        if not TRANSITIONS[order.state]:
            refusal = "order_ended"
        elif order.visit_at is None or visit != order.visits[-1]:
            refusal = "appointment_over"
        if self.attempt(move_appointment, order.id, visit, starts_at, ends_at, refusal=refusal) is not None:
            order.visit_at, order.version = starts_at, order.version + 1

    @rule(order=orders, which=st.integers(0, 3))
    def a_visit_is_called_off(self, order: Expected, which: int) -> None:
        if not order.visits:
            return
        visit = order.visits[which % len(order.visits)]
        over = order.visit_at is None or visit != order.visits[-1]
        if self.attempt(cancel_appointment, order.id, visit, refusal="appointment_over" if over else None) is not None:
            order.visit_at, order.version = None, order.version + 1

    @rule(order=orders)
    def it_is_paid(self, order: Expected) -> None:
        reference, late = secrets.token_hex(8), order.state in ENDED
        recorded = self.attempt(record_payment, order.id, reference, Money(minor=2500, currency="EUR"))
        assert (recorded.payment.is_late, recorded.repeated) == (late, False)
        order.money[reference] = late
        order.version += 1
        if not late:
            order.paid[reference] = self.world.clock()
            order.paid_at = min(order.paid.values())
            if order.state == "pending" and order.is_covered:
                order.state = "completed"

    @rule(order=orders, which=st.integers(0, 3))
    def a_payment_is_voided(self, order: Expected, which: int) -> None:
        if not order.money:
            return
        reference = list(order.money)[which % len(order.money)]
        was_covered = order.is_covered
        self.run(void(self.world, order.id, reference))
        if reference in order.voided:
            return
        order.voided.add(reference)
        order.version += 1
        order.paid.pop(reference, None)
        order.paid_at = min(order.paid.values(), default=None)
        if order.state == "completed" and was_covered and not order.is_covered:
            order.state = "pending"

    @rule(order=orders, other=orders)
    def a_payment_is_reported_again(self, order: Expected, other: Expected) -> None:
        if not order.money:
            return
        reference, money = next(iter(order.money)), Money(minor=2500, currency="EUR")
        if reference in order.voided:
            self.attempt(record_payment, order.id, reference, money, refusal="payment_voided")
            return
        assert self.attempt(record_payment, order.id, reference, money).repeated
        if other is not order:
            self.attempt(record_payment, other.id, reference, money, refusal="payment_reference_used")

    @rule(order=orders, move=st.sampled_from(Transition))
    def it_advances(self, order: Expected, move: Transition) -> None:
        if move is Transition.CANCEL:
            refusal = "use_cancel"
        elif move.value not in order.may_be_advanced:
            refusal = "move_not_allowed"
        else:
            refusal = "order_paid" if order.paid_at is not None and TRANSITIONS[order.state][move] in ENDED else None
        if self.attempt(advance_order, order.id, move, refusal=refusal) is not None:
            order.ends(TRANSITIONS[order.state][move].value)
            order.version += 1

    @rule(order=orders, who=st.sampled_from(["owner", "owner", "operator", "stranger"]))
    def somebody_cancels(self, order: Expected, who: str) -> None:
        strangers = [caller for caller in (*self.partners, *self.shops) if caller is not order.owner]
        caller = {"owner": order.owner, "operator": self.operator, "stranger": strangers[0]}[who]
        allowed = order.may_be_cancelled(self.world.clock())
        try:
            outcome = self.run(self.world.cancel(caller, order.id, on_behalf=who == "operator"))
        except NotFoundError:
            assert who == "stranger"
            return
        assert who != "stranger"
        assert isinstance(outcome, Cancelled if allowed else NotCancelled)
        if allowed:
            now, by_operator = self.world.clock(), who == "operator"
            order.before = Before(order.state, order.visit_at, now, by_operator, len(order.voided))
            order.ends("cancelled")
            order.version += 1

    @rule(order=orders)
    def the_operator_cancels_the_wrong_order(self, order: Expected) -> None:
        self.somebody_cancels(order, "operator")
        self.a_cancellation_is_undone(order)

    @rule(order=orders)
    def a_cancellation_is_undone(self, order: Expected) -> None:
        code, before = self.why_not_undone(order), order.before
        said = None
        try:
            self.run(restore(self.world, order.id, payable={}))
        except ConflictError as error:
            said = error.code
        assert said == code
        if said is None:
            assert before is not None
            order.state, order.visit_at, order.before = before.state, before.visit_at, None
            order.version, order.undone = order.version + 1, order.undone + 1

    def why_not_undone(self, order: Expected) -> str | None:
        before = order.before
        if before is None or order.state != "cancelled":
            return "order_not_cancelled"
        if not before.by_operator:
            return "clients_cancellation"
        if self.world.clock() >= before.cancelled_at + UNDO_WINDOW:
            return "undo_window_over"
        late = any(is_late and reference not in order.voided for reference, is_late in order.money.items())
        if late or len(order.voided) > before.voided:
            return "money_moved"
        sold = sum(e.quantity for e in self.expected.values() if e.product == order.product and e.state not in ENDED)
        return None if order.product is None or sold + order.quantity <= STOCK else "insufficient_products"

    @rule(hours=st.sampled_from([1 / 7, 1 / 6, 0.5, 1, 4, 24]))
    def time_passes(self, hours: float) -> None:
        self.world.clock.forward(hours=hours)

    # what must hold after every step

    @invariant()
    def the_rows_are_as_the_model_says(self) -> None:
        for order in self.these("orders", "id"):
            expected = self.expected[order["id"]]
            assert (order["state"], order["version"]) == (expected.state, expected.version)
            assert order["appointment_starts_at"] == (expected.visit_at and micros(expected.visit_at))
            assert order["first_payment_at"] == (expected.paid_at and micros(expected.paid_at))

    @invariant()
    def the_facts_columns_say_what_the_rows_say(self) -> None:
        active = {
            row["order_id"]: row["starts_at"]
            for row in self.these("appointments")
            if row["state"] in {"reserved", "booked", "in_progress"}
        }
        in_time: dict[int, int] = {}
        for row in self.these("payments"):
            assert bool(row["is_late"]) == self.expected[row["order_id"]].money[row["reference"]]
            if not row["is_late"] and row["voided_at"] is None:
                before = in_time.get(row["order_id"], row["recorded_at"])
                in_time[row["order_id"]] = min(before, row["recorded_at"])
        for order in self.these("orders", "id"):
            assert order["appointment_starts_at"] == active.get(order["id"])
            assert order["first_payment_at"] == in_time.get(order["id"])
        assert len(self.these("payments")) == sum(len(e.money) for e in self.expected.values())

    @invariant()
    def an_order_has_a_cancellation_and_a_fact_of_it_just_when_it_is_cancelled(self) -> None:
        cancelled = {order_id for order_id, e in self.expected.items() if e.state == "cancelled"}
        assert Counter(row["order_id"] for row in self.these("cancellations")) == dict.fromkeys(cancelled, 1)
        facts = [(row["order_id"], row["order_version"], row["kind"]) for row in self.these("outbox")]
        assert len(facts) == len(set(facts))
        told = Counter(order_id for order_id, _, kind in facts if kind == "order.cancelled")
        undone = Counter({order_id: e.undone for order_id, e in self.expected.items() if e.undone})
        assert told == undone + Counter(cancelled)
        assert Counter(row["order_id"] for row in self.these("undone_cancellations")) == undone
        assert Counter(order_id for order_id, _, kind in facts if kind == "order.restored") == undone
        # every change was told, and none twice: the versions that facts speak of are all there have been
        versions = {(order_id, version) for order_id, version, _ in facts}
        assert versions == {(i, v) for i, e in self.expected.items() for v in range(1, e.version + 1)}

    @invariant()
    def what_is_left_and_what_is_valid_make_up_the_stock(self) -> None:
        valid: Counter[str] = Counter()
        for row in self.these("tickets"):
            if row["valid"]:
                assert self.expected[row["order_id"]].state not in ENDED
                valid[row["product_uid"]] += 1
        uids = ", ".join(f"'{uid}'" for uid in self.products)
        for row in self.run(self.outside.rows(f"SELECT * FROM products WHERE uid IN ({uids})")):
            assert row["availability"] >= 0
            assert row["availability"] + valid[row["uid"]] == row["total_availability"] == STOCK

    # how rules do what they do

    def expect(self, order: Expected) -> Expected:
        self.expected[order.id] = order
        return order

    def times(self, hours: int) -> tuple[datetime, datetime]:
        starts_at = self.world.clock() + timedelta(hours=hours)
        return starts_at, starts_at + timedelta(hours=4)

    def attempt(self, action: Any, *asked: Any, refusal: str | None = None) -> Any:
        """Do it, or see it refused with just this code."""
        done, code = None, None
        try:
            done = self.run(self.change(action, *asked))
        except ConflictError as error:
            code = error.code
        assert code == refusal
        return done

    def these(self, table: str, column: str = "order_id") -> list[dict[str, Any]]:
        """The rows of this example's orders."""
        if not self.expected:
            return []
        ids = ", ".join(map(str, self.expected))
        return self.run(self.outside.rows(f"SELECT * FROM {table} WHERE {column} IN ({ids})"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("on", "examples"),
    [
        ("sqlite", 20),
        ("postgres", 10),
        pytest.param("sqlite", 100, marks=pytest.mark.slow),
        pytest.param("postgres", 50, marks=pytest.mark.slow),
    ],
)
def test_orders_live_as_the_model_says(tmp_path: Path, on: str, examples: int):
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        world = runner.run(stack.enter_async_context(a_world(tmp_path, on)))
        try:
            Orders.runner, Orders.world = runner, world
            Orders.partners = [runner.run(world.connect_client(name)) for name in ("partner", "other")]
            Orders.shops = [runner.run(world.shopping_client()) for _ in range(2)]
            Orders.operator = runner.run(world.manage_client())
            Orders.outside = runner.run(stack.enter_async_context(outside(world)))
            run_state_machine_as_test(
                Orders,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    derandomize=True,
                    database=None,
                ),
            )
        finally:
            runner.run(stack.aclose())
