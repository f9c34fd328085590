"""SQLite, PostgreSQL in one statement, and PostgreSQL in parts do the same with the same orders: row for row."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from countermand.actions.cancel_orders import Cancelled, NotCancelled
from countermand.actions.group_commit import GoAgain
from countermand.actions.ports import CancelOrder, CommandId, IdempotencyKey
from countermand.domain.appointment import Appointment, AppointmentId, AppointmentState
from countermand.domain.client import ClientId
from countermand.domain.contract import Contract, Door
from countermand.domain.facts import appointment_cancelled, order_cancelled
from countermand.domain.order import OrderId
from countermand.domain.order_state import CANCELLABLE_STATES, OrderState
from countermand.storage.postgres.statements import order_cancelled_details, visit_details
from countermand.storage.rows import written
from countermand.storage.tables import clients, metadata, micros, products
from support.postgres import a_database
from support.world import NOON, World, a_world

WAYS: dict[str, dict[str, Any]] = {
    "sqlite": {"on": "sqlite"},
    "at once": {"on": "postgres"},
    "in parts": {"on": "postgres", "database_distributed": True},
}
PARTNER, OTHER, SHOP, OPERATOR = (ClientId(number) for number in (1, 2, 3, 4))
DOORS = {PARTNER: Door.CONNECT, OTHER: Door.CONNECT, SHOP: Door.SHOPPING, OPERATOR: Door.MANAGE}
PRODUCTS = [f"{number:032x}" for number in (9, 3, 7)]
MISSING = OrderId(999_999_999)

_order_ids, _others = itertools.count(1000), itertools.count(1)

reasons = st.none() | st.sampled_from(
    ["", 'it\'s "off"', "naïve → ✓ 🚲", "line\nbreak\t\\", "\x7f\x1f", "{0} %s $1 :x"]
)
reasons |= st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
near_now = st.integers(-200 * 3600 * 10**6, 200 * 3600 * 10**6).map(lambda by: NOON + timedelta(microseconds=by))
any_instant = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - given UTC
active = st.sampled_from(["reserved", "booked", "in_progress"])
closed = st.sampled_from(["completed", "incomplete", "cancelled"])


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, list[World]]]:
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
            yield runner, runner.run(opened())
        finally:
            runner.run(stack.aclose())


@st.composite
def an_order(draw):
    """The rows of an order that may or may not be cancelled, by table."""
    contract = draw(st.sampled_from(Contract))
    visit_at = draw(draw(st.sampled_from([st.none(), near_now, near_now, any_instant])))
    states = st.sampled_from(sorted(CANCELLABLE_STATES)) | st.sampled_from(OrderState)
    of_order = {"order_id": next(_order_ids)}
    visits = [(draw(closed), draw(any_instant)) for _ in range(draw(st.integers(0, 2)))]
    visits += [] if visit_at is None else [(draw(active), visit_at)]
    return {
        "orders": [
            {
                "id": of_order["order_id"],
                "contract": contract.value,
                "client_id": draw(st.sampled_from([PARTNER, OTHER] if contract is Contract.CONNECT else [SHOP])),
                "version": draw(st.integers(1, 5)),
                "state": draw(states).value,
                "appointment_starts_at": visit_at and micros(visit_at),
                "first_payment_at": draw(any_instant.map(micros)) if draw(st.integers(0, 3)) == 3 else None,
                "created_at": micros(NOON),
            }
        ],
        "order_details": [of_order | {"uid": f"{of_order['order_id']:032x}", "reference": "R", "details": "{}"}],
        "appointments": [
            of_order
            | {"id": next(_others), "state": state, "starts_at": micros(at), "ends_at": micros(at) + 7_200_000_001}
            for state, at in visits
        ],
        "tickets": [
            of_order
            | {"number": number, "uid": f"{next(_others):032x}", "product_uid": draw(st.sampled_from(PRODUCTS))}
            | {"code": "c", "valid": draw(st.booleans())}
            for number in range(draw(st.integers(0, 4)) if contract is Contract.SHOPPING else 0)
        ],
    }


@st.composite
def a_command(draw, order_ids):
    order_id = draw(st.sampled_from([*order_ids, *order_ids, MISSING]))
    client_id = draw(st.sampled_from([PARTNER, PARTNER, OTHER, SHOP, SHOP, OPERATOR]))
    key = draw(st.none() | st.sampled_from(["k-1", "k-2", f"k-{order_id}"]))
    return CancelOrder(
        command_id=CommandId(f"{next(_others):032x}"),
        order_id=OrderId(order_id),
        client_id=client_id,
        door=DOORS[client_id],
        on_behalf=client_id == OPERATOR,
        reason=draw(reasons),
        idempotency=None if key is None else IdempotencyKey(key=key, fingerprint=draw(st.sampled_from(["one", "two"]))),
        wants_order=draw(st.booleans()),
    )


# Not made smaller where it fails: by then the databases differ, whatever comes next.
@settings(deadline=None, max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(data=st.data(), orders=st.lists(an_order(), min_size=1, max_size=8))
def test_the_same_commands_leave_the_same_rows_and_get_the_same_answers_whichever_way(worlds, data, orders):
    runner, all_of_them = worlds
    order_ids = [order["orders"][0]["id"] for order in orders]
    commands = a_command(order_ids)
    batches = [data.draw(st.lists(commands, min_size=1, max_size=12)) for _ in range(2)]
    told = [runner.run(lives_through(world, orders, batches)) for world in all_of_them]
    for way, (rows, answers) in zip(WAYS, told, strict=True):
        assert answers == told[0][1], way
        for table, expected in told[0][0].items():
            assert rows[table] == expected, (way, table)


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
    world: World, orders: list[dict[str, list[dict[str, Any]]]], batches: list[list[CancelOrder]]
) -> tuple[dict[str, list[dict[str, Any]]], list[Any]]:
    """Put the orders there, run the batches an hour apart; gives every table's rows, every answer, and the views."""
    async with world.database.store.transaction() as tx:
        for table in ("orders", "order_details", "appointments", "tickets"):
            for order in orders:
                for row in order[table]:
                    await tx.run(insert(metadata.tables[table]).values(row))
    answers = []
    world.clock.now = NOON
    for batch in batches:
        answers += [said(answer) for answer in await world.service.commit.run(batch)]
        world.clock.forward(hours=1)
    answers.append(await world.database.cancellations.views([OrderId(order["orders"][0]["id"]) for order in orders]))
    rows = {table: await world.rows(table) for table in metadata.tables}
    for row in rows["outbox"]:
        row["details"] = json.loads(row["details"])
    return rows, answers


def said(answer: Any) -> Any:
    """What can be compared of an answer."""
    assert not isinstance(answer, GoAgain)
    return answer if isinstance(answer, Cancelled | NotCancelled) else (type(answer), str(answer))


async def who_calls_and_what_is_sold(world: World) -> None:
    async with world.database.store.transaction() as tx:
        for number, door in DOORS.items():
            who = {"id": number, "door": door.value, "name": "somebody", "permissions": "[]", "created_at": 0}
            await tx.run(insert(clients).values(who))
        for uid in PRODUCTS:
            price = {"price_minor": 1, "service_costs_minor": 0, "currency": "EUR"}
            stock = {"availability": 50, "total_availability": 1_000_000}
            await tx.run(insert(products).values({"uid": uid, "name": "{}"} | price | stock))
