"""SQLite, PostgreSQL in one statement, and PostgreSQL in parts do the same with the same orders: row for row."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, insert

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.group_commit import GoAgain
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import Appointment, AppointmentId, AppointmentState
from countermand.domain.client import ClientId
from countermand.domain.contract import MANAGE, ContractName
from countermand.domain.orders.order import LARGEST_ORDER_ID, OrderId
from countermand.domain.orders.order_events import appointment_cancelled, order_cancelled
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState
from countermand.storage import tables
from countermand.storage.postgres.statements import order_cancelled_details, visit_details
from countermand.storage.repositories.rows import written
from countermand.storage.tables.columns import micros
from support.contracts import CONNECT, SHOPPING
from support.database_contents import WRITTEN_AT_ANY_MOMENT
from support.postgres import a_database
from support.world import NOON, World, a_world

WAYS: dict[str, dict[str, Any]] = {
    "sqlite": {"on": "sqlite"},
    "at once": {"on": "postgres"},
    "in parts": {"on": "postgres", "database_distributed": True},
}
PARTNER, OTHER, SHOP, OPERATOR = (ClientId(number) for number in (1, 2, 3, 4))
CHANNELS = {PARTNER: CONNECT.channel, OTHER: CONNECT.channel, SHOP: SHOPPING.channel, OPERATOR: MANAGE}
PRODUCTS = [f"{number:032x}" for number in (9, 3, 7)]
MISSING = OrderId(999_999_999)

_FIRST_OF_TICKETS = 1 << 62
_order_ids, _commands = itertools.count(1000), itertools.count(1)

reasons = st.none() | st.sampled_from(
    ["", 'it\'s "off"', "naïve → ✓ 🚲", "line\nbreak\t\\", "\x7f\x1f", "{0} %s $1 :x"]
)
reasons |= st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
near_now = st.integers(-200 * 3600 * 10**6, 200 * 3600 * 10**6).map(lambda by: NOON + timedelta(microseconds=by))
any_instant = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - given UTC
active = st.sampled_from(["reserved", "booked", "in_progress"])
closed = st.sampled_from(["completed", "incomplete", "cancelled"])


class Worlds:
    """One for each way. (No dataclass: a failure would show everything in it.)"""

    def __init__(self, runner: asyncio.Runner, each: list[World]) -> None:
        self.runner, self.each = runner, each


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def opened() -> list[World]:
            made = [
                await stack.enter_async_context(a_world(tmp_path_factory.mktemp("way"), **how)) for how in WAYS.values()
            ]
            for world in made:
                await who_calls_and_what_is_sold(world)
            return made

        try:
            yield Worlds(runner, runner.run(opened()))
        finally:
            runner.run(stack.aclose())


@dataclass(frozen=True, kw_only=True)
class AnOrder:
    """An order that may or may not be cancelled, yet without a number."""

    contract: ContractName
    owner: ClientId
    version: int
    state: OrderState
    paid_at: datetime | None
    visits: list[tuple[str, datetime]]  # the active one, if any, comes last
    has_active_visit: bool
    tickets: list[tuple[str, bool]]

    def rows(self, order_id: int) -> Iterator[tuple[Table, dict[str, Any]]]:
        """Its rows, under a number, parents first."""
        of_order = {"order_id": order_id}
        yield (
            tables.orders.orders,
            {
                "id": order_id,
                "contract": self.contract,
                "client_id": self.owner,
                "version": self.version,
                "state": self.state.value,
                "appointment_starts_at": micros(self.visits[-1][1]) if self.has_active_visit else None,
                "first_payment_at": self.paid_at and micros(self.paid_at),
                "created_at": micros(NOON),
            },
        )
        yield tables.orders.order_details, of_order | {"uid": f"{order_id:032x}", "reference": "R", "details": "{}"}
        for number, (state, at) in enumerate(self.visits):
            times = {"starts_at": micros(at), "ends_at": micros(at) + 7_200_000_001}
            yield (
                tables.appointments.appointments,
                of_order | {"id": order_id % _FIRST_OF_TICKETS * 10 + number, "state": state} | times,
            )
        for number, (product, valid) in enumerate(self.tickets):
            place = {"number": number, "uid": f"{order_id * 10 + number:032x}", "product_uid": product}
            yield tables.tickets.tickets, of_order | place | {"code": "c", "valid": valid}


def number_of(order: AnOrder) -> OrderId:
    """A number that no order has, and that an order of this contract can have."""
    return OrderId(next(_order_ids) + (_FIRST_OF_TICKETS if order.contract == SHOPPING.name else 0))


@st.composite
def an_order(draw):
    contract = draw(st.sampled_from([CONNECT.name, SHOPPING.name]))
    visit_at = draw(st.none() | near_now | near_now | any_instant)
    closed_visits = draw(st.lists(st.tuples(closed, any_instant), max_size=2))
    tickets = st.lists(st.tuples(st.sampled_from(PRODUCTS), st.booleans()), max_size=4)
    return AnOrder(
        contract=contract,
        owner=draw(st.sampled_from([PARTNER, OTHER])) if contract == CONNECT.name else SHOP,
        version=draw(st.integers(1, 5)),
        state=draw(st.sampled_from(sorted(CANCELLABLE_STATES)) | st.sampled_from(OrderState)),
        paid_at=draw(st.none() | st.none() | st.none() | any_instant),
        visits=closed_visits + ([] if visit_at is None else [(draw(active), visit_at)]),
        has_active_visit=visit_at is not None,
        tickets=draw(tickets) if contract == SHOPPING.name else [],
    )


@dataclass(frozen=True, kw_only=True)
class ACommand:
    """The wish to cancel one of the orders, by its place; beyond them, one that is not there."""

    place: int
    client_id: ClientId
    key: str | None
    fingerprints: Fingerprints
    reason: str | None

    def of(self, order_ids: list[OrderId]) -> CancelOrder:
        order_id = order_ids[self.place] if self.place < len(order_ids) else MISSING
        key = self.key and IdempotencyKey(key=self.key.replace("#", str(order_id)), fingerprints=self.fingerprints)
        return CancelOrder(
            command_id=CommandId(f"{next(_commands):032x}"),
            order_id=order_id,
            actor=Actor(self.client_id, CHANNELS[self.client_id]),
            on_behalf=self.client_id == OPERATOR,
            reason=self.reason,
            idempotency=key or None,
        )


commands = st.builds(
    ACommand,
    place=st.integers(0, 6),
    client_id=st.sampled_from([PARTNER, PARTNER, OTHER, SHOP, SHOP, OPERATOR]),
    key=st.none() | st.sampled_from(["k-1", "k-2", "k-#"]),
    fingerprints=st.builds(Fingerprints, request=st.sampled_from(["one", "two"]), message=st.sampled_from(["a", "b"])),
    reason=reasons,
)
batches_of_commands = st.lists(st.lists(commands, min_size=1, max_size=12), min_size=2, max_size=2)


# Not made smaller where it fails: by then the databases differ, whatever comes next.
@settings(deadline=None, max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(orders=st.lists(an_order(), min_size=1, max_size=8), batches=batches_of_commands)
def test_the_same_commands_leave_the_same_rows_and_get_the_same_answers_whichever_way(worlds, orders, batches):
    order_ids = [number_of(order) for order in orders]
    rows = [row for order, order_id in zip(orders, order_ids, strict=True) for row in order.rows(order_id)]
    asked = [[command.of(order_ids) for command in batch] for batch in batches]
    lived = [worlds.runner.run(lives_through(world, rows, asked, order_ids)) for world in worlds.each]
    for way, (contents, answers) in zip(WAYS, lived, strict=True):
        assert answers == lived[0][1], way
        for table, expected in lived[0][0].items():
            assert contents[table] == expected, (way, table)


@settings(deadline=None, max_examples=300)
@given(
    state=st.sampled_from(OrderState),
    reason=reasons,
    number=st.integers(1, 1 << 62),
    starts_at=any_instant,
    ends_at=any_instant,
)
def test_facts_written_by_the_statement_say_what_the_domain_says(database, state, reason, number, starts_at, ends_at):
    runner, connection = database
    query = (
        f"SELECT {order_cancelled_details('c')}, {visit_details('a')}"
        " FROM (SELECT $1::text AS state, $2::text AS reason) AS c,"
        " (SELECT $3::bigint AS id, $4::bigint AS starts_at, $5::bigint AS ends_at) AS a"
    )
    row = runner.run(connection.fetchrow(query, state.value, reason, number, micros(starts_at), micros(ends_at)))
    visit = Appointment(
        id=AppointmentId(number), state=AppointmentState.CANCELLED, starts_at=starts_at, ends_at=ends_at
    )
    assert json.loads(row[0]) == json.loads(written(order_cancelled(state, reason).details))
    assert json.loads(row[1]) == json.loads(written(appointment_cancelled(visit).details))
    assert list(json.loads(row[1])) == list(json.loads(written(appointment_cancelled(visit).details)))


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[asyncio.Runner, Any]]:
    with asyncio.Runner() as runner, a_database() as url:
        connection = runner.run(asyncpg.connect(url))
        yield runner, connection
        runner.run(connection.close())


async def lives_through(
    world: World, rows: list[tuple[Table, dict[str, Any]]], batches: list[list[CancelOrder]], order_ids: list[OrderId]
) -> tuple[dict[str, list[dict[str, Any]]], list[Any]]:
    """Put the rows there, run the batches an hour apart; gives every table's rows, every answer, and the views."""
    async with world.database.store.transaction() as tx:
        for table, row in rows:
            await tx.run(insert(table).values(row))
    answers: list[Any] = []
    world.clock.now = NOON
    for batch in batches:
        answers += await answered(world, batch)
        world.clock.forward(hours=1)
    answers.append(await world.database.cancellations.views(order_ids))
    contents = {table: await world.rows(table) for table in tables.metadata.tables.keys() - WRITTEN_AT_ANY_MOMENT}
    for row in contents["outbox"]:
        row["details"] = json.loads(row["details"])
    return contents, answers


async def answered(world: World, batch: list[CancelOrder]) -> list[Any]:
    """What can be compared of each answer, in the order they come. What goes again does, as it would by itself."""
    told: list[Any] = []
    while batch:
        answers = await world.service.commit.run(batch)
        told += [
            answer if isinstance(answer, Cancelled | NotCancelled) else (type(answer), str(answer))
            for answer in answers
            if not isinstance(answer, GoAgain)
        ]
        again = [command for command, answer in zip(batch, answers, strict=True) if isinstance(answer, GoAgain)]
        assert len(again) < len(batch)
        batch = again
    return told


async def who_calls_and_what_is_sold(world: World) -> None:
    async with world.database.store.transaction() as tx:
        for number, channel in CHANNELS.items():
            who = {"id": number, "door": channel, "name": "somebody", "permissions": "[]", "created_at": 0}
            await tx.run(insert(tables.clients.clients).values(who))
        for uid in PRODUCTS:
            price = {"price_minor": 1, "service_costs_minor": 0, "currency": "EUR"}
            stock = {"availability": 50, "total_availability": 1_000_000}
            await tx.run(insert(tables.catalogue.products).values({"uid": uid, "name": "{}"} | price | stock))
        # The task that fills the search table has nothing left to do: else each world would be at a row of its own.
        done = {"name": "handles", "reached_at": micros(NOON), "order_id": LARGEST_ORDER_ID}
        await tx.run(insert(tables.progress.task_progress).values(done))
