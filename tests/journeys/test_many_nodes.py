"""Two nodes, or two workers of one, on one PostgreSQL: whoever asks where, every order has one story."""

import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio

from own_postgres import OwnPostgres
from support.conservation import check_conservation
from support.load import Ask, Heard, Reply, drive
from support.nodes import Orders, Shop, a_node, a_shop
from support.orders import cancel, number, pay, under_key, visit

pytestmark = pytest.mark.slow

# On a busy machine much takes long: nobody is to hear 503 for that alone.
PATIENT = {"database_busy_limit_s": 60, "database_statement_limit_s": 60, "database_connect_limit_s": 60}
HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with OwnPostgres(HASTY) as running:
        yield running


@pytest.fixture(scope="module")
def everything(server: OwnPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with a_shop(server, tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture(scope="module", params=["two nodes", "one node of two workers"])
def ports(everything: Shop, request: pytest.FixtureRequest) -> Iterator[list[int]]:
    """Where to ask. Two workers share an address: which of them gets a connection is the system's choice."""
    with ExitStack() as nodes:
        if request.param == "two nodes":
            yield [nodes.enter_context(a_node(everything, **PATIENT)).port for _ in range(2)]
        else:
            yield [nodes.enter_context(a_node(everything, "--workers", "2", **PATIENT)).port] * 2


@pytest_asyncio.fixture
async def shop(everything: Shop) -> Shop:
    """Without an order, for each test."""
    await everything.forget_orders()
    return everything


async def test_five_thousand_orders_cancelled_from_everywhere_while_they_change_are_each_cancelled_once(
    shop: Shop, ports: list[int]
):
    orders = await shop.orders(plain=2_000, with_visit=1_500, tickets=1_500)
    # 503, for an order that another transaction holds too long, is certainly not done: it is asked again.
    told = await drive(ports, asks(shop, orders), callers=64, until=lambda reply: reply.status != 503)
    heard = Heard({about: [one for one in them if one.status != 503] for about, them in told.replies.items()})

    cancels = {about: replies for about, replies in heard.replies.items() if about[0] == "cancel"}
    won = {about[1] for about in cancels if heard.statuses(about).count(200) == 1}
    assert {about[1] for about in cancels if heard.statuses(about).count(200) > 1} == set()
    assert {reply.status for about in cancels for reply in heard.replies[about]} <= {200, 403, 409, 422}
    assert await check_conservation(shop) == won
    nothing_in_the_way = set(orders.plain[1_000:]) | {number(uid) for uid in orders.tickets[500:]}
    assert nothing_in_the_way <= won

    # every change had one of the answers it may have, and did what it says
    moved = {about[1]: heard.statuses(about) for about in heard.replies if about[0] in {"set", "move", "call off"}}
    assert len(moved) == 1_500
    assert {tuple(statuses) for statuses in moved.values()} <= {(200,), (201,), (409,)}
    paid = {about[1]: heard.statuses(about) for about in heard.replies if about[0] == "pay"}
    late = set(await shop.column("SELECT order_id FROM payments WHERE is_late"))
    assert {id_ for id_, statuses in paid.items() if 409 in statuses} == late == set(paid) & won
    in_time = set(await shop.column("SELECT order_id FROM payments WHERE NOT is_late"))
    assert {id_ for id_, statuses in paid.items() if 201 in statuses} == in_time == set(paid) - won
    assert all(Counter(statuses)[201] + Counter(statuses)[409] == len(statuses) == 1 for statuses in paid.values())
    # refused, and said so in the database, each time
    refused = Counter(id_ for (_, id_), status in answers(cancels) if status in {403, 409, 422})
    assert Counter(await shop.column("SELECT order_id FROM refusals")) == refused


async def test_under_one_key_at_both_nodes_at_once_all_hear_the_same_and_it_is_done_once(shop: Shop, ports: list[int]):
    orders = await shop.orders(plain=150, tickets=150)
    asked = [
        under_key(ask, f"key-{order}")
        for order in [*orders.plain, *orders.tickets]
        for ask in [cancel(shop, order, 0), cancel(shop, order, 1), cancel(shop, order, 0), cancel(shop, order, 1)]
    ]
    heard = await drive(ports, asked)
    assert heard.counted() == {200: len(asked)}
    for about, replies in heard.replies.items():
        # The order is shown as it stands: how many places are left is no part of what was answered.
        assert len({re.sub(rb'"availability":\d+', b"", reply.body) for reply in replies}) == 1, about
    assert await check_conservation(shop) == {*orders.plain, *map(number, orders.tickets)}
    assert await shop.column("SELECT order_id FROM refusals") == []
    assert len(await shop.column("SELECT key FROM idempotency_keys")) == 300


async def test_a_key_that_one_node_has_seen_stands_for_another_request_at_no_node(shop: Shop, ports: list[int]):
    """At once, so that either node may be the first: one request of two has the key, and the other order stays."""
    orders = await shop.orders(plain=200)
    pairs = list(zip(orders.plain[::2], orders.plain[1::2], strict=True))
    asked = [
        under_key(cancel(shop, order, node), f"key-{pair[0]}") for pair in pairs for node, order in enumerate(pair)
    ]
    heard = await drive(ports, asked)
    assert heard.counted() == {200: 100, 422: 100}
    cancelled = await check_conservation(shop)
    for pair in pairs:
        by_status = {heard.statuses(("cancel", order))[0]: order for order in pair}
        assert by_status[200] in cancelled
        assert by_status[422] not in cancelled
        (refused,) = heard.replies["cancel", by_status[422]]
        assert [error["code"] for error in refused.json["errors"]] == ["idempotency_key_reused"]
    assert await shop.column("SELECT order_id FROM refusals") == []


async def test_a_payment_reported_to_both_nodes_at_once_under_one_reference_is_recorded_once(
    shop: Shop, ports: list[int]
):
    orders = await shop.orders(tickets=60)
    asked = [pay(shop, uid, node) for uid in orders.tickets for node in (0, 1, 0, 1)]
    heard = await drive(ports, asked)
    assert all(sorted(heard.statuses(about)) == [200, 200, 200, 201] for about in heard.replies)
    assert await shop.column("SELECT count(*) FROM payments") == [60]
    assert await check_conservation(shop) == set()


def asks(shop: Shop, orders: Orders) -> Iterator[Ask]:
    """For each order a few cancels at both nodes, duplicates side by side, and for every third a change among them."""
    chance = random.Random(4711)
    everything: list[list[Ask]] = []
    for n, order in enumerate(orders.plain):
        mine = [cancel(shop, order, 0), cancel(shop, order, 0), cancel(shop, order, 1)]
        if n < 1_000:
            mine.insert(chance.randrange(4), visit(shop, order, "POST", chance.choice([5, 30]), n % 2))
        everything.append(mine)
    for n, order in enumerate(orders.with_visit):
        mine = [cancel(shop, order, 0), cancel(shop, order, 1), cancel(shop, order, 1)]
        if n < 500:
            method, hours = ("DELETE", 0) if n % 3 == 0 else ("PUT", chance.choice([5, 40]))
            mine.insert(chance.randrange(4), visit(shop, order, method, hours, n % 2))
        everything.append(mine)
    for n, uid in enumerate(orders.tickets):
        mine = [cancel(shop, uid, 0), cancel(shop, uid, 1), cancel(shop, uid, 1)]
        if n < 500:
            mine.insert(chance.randrange(4), pay(shop, uid, n % 2))
        everything.append(mine)
    chance.shuffle(everything)
    for of_order in everything:
        yield from of_order


def answers(replies: dict[Any, list[Reply]]) -> list[tuple[Any, int]]:
    return [(about, reply.status) for about, them in replies.items() for reply in them]
