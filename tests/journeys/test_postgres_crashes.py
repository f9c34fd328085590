"""A node, or PostgreSQL, goes away under load: what was answered is kept, nothing is done twice, and all go on.

No order is given up: whoever hears 503 or 500, or nothing, asks again, at the other node. So a test that ends has seen
the service come back by itself.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from own_postgres import OwnPostgres
from support.conservation import check_conservation
from support.load import Ask, Heard, Reply, drive
from support.nodes import Orders, Shop, a_node, a_shop, url_at
from support.orders import cancel, number, under_key
from support.serving import Served

pytestmark = pytest.mark.slow

UNDER_WAY = 700  # successes, before it happens


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    """At PostgreSQL's defaults: what it says is committed is on the disk."""
    with OwnPostgres() as running:
        yield running


@pytest.fixture
def shop(server: OwnPostgres, tmp_path: Path) -> Iterator[Shop]:
    with a_shop(server, tmp_path) as made:
        yield made


@pytest.fixture
def nodes(shop: Shop) -> Iterator[list[Served]]:
    with ExitStack() as stack:
        yield [stack.enter_context(a_node(shop)) for _ in range(2)]


def restarted(how: Any) -> Callable[[OwnPostgres], None]:
    return lambda server: server.restart(how)


def killed(server: OwnPostgres) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize(
    "happens", [killed, restarted("fast"), restarted("immediate")], ids=["-9", "fast", "immediate"]
)
async def test_postgres_goes_away_under_load_and_comes_back_and_nothing_is_lost_or_done_twice(
    shop: Shop, nodes: list[Served], server: OwnPostgres, happens: Callable[[OwnPostgres], None]
):
    orders = await shop.orders(plain=1_000, with_visit=600, tickets=600)
    heard = await drive(
        [node.port for node in nodes],
        asks(shop, orders),
        until=is_final,
        after=UNDER_WAY,
        happens=lambda: happens(server),
    )
    heard.tell()
    assert len(heard.with_status(503) | heard.with_status(500)) > 0
    await all_cancelled_once(shop, orders, heard)
    assert_calm(nodes)


async def test_a_node_is_killed_under_load_and_the_other_goes_on(shop: Shop, nodes: list[Served]):
    orders = await shop.orders(plain=1_000, with_visit=600, tickets=600)
    heard = await drive(
        [node.port for node in nodes], asks(shop, orders), until=is_final, after=UNDER_WAY, happens=nodes[0].kill
    )
    heard.tell()
    assert 0 in heard.counted()
    await all_cancelled_once(shop, orders, heard)
    assert_calm(nodes[1:])


async def test_a_standby_is_promoted_under_load_and_knows_all_that_was_answered(tmp_path: Path):
    with ExitStack() as stack:
        primary = stack.enter_context(OwnPostgres())
        standby = stack.enter_context(OwnPostgres.standby_of(primary, synchronous=True))
        shop = stack.enter_context(a_shop(primary, tmp_path))
        database = shop.url.rpartition("/")[2]
        both = url_at([primary.port, standby.port], database)
        nodes = [stack.enter_context(a_node(shop, database_url=both)) for _ in range(2)]
        orders = await shop.orders(plain=1_000, with_visit=600, tickets=600)

        def promoted() -> None:
            primary.kill()
            standby.promote()

        heard = await drive(
            [node.port for node in nodes], asks(shop, orders), until=is_final, after=UNDER_WAY, happens=promoted
        )
        heard.tell()
        shop.url = url_at(standby.port, database)
        await all_cancelled_once(shop, orders, heard)
        assert [node.stop() for node in nodes] == [0, 0]
        assert_calm(nodes)


async def test_told_to_stop_under_load_a_node_answers_all_it_took_and_the_other_goes_on(
    shop: Shop, nodes: list[Served]
):
    orders = await shop.orders(plain=1_000, with_visit=600, tickets=600)
    heard = await drive(
        [node.port for node in nodes],
        asks(shop, orders),
        until=is_final,
        after=UNDER_WAY,
        happens=lambda: nodes[0].process.send_signal(signal.SIGTERM),
    )
    assert nodes[0].process.wait(120) == 0
    assert 500 not in heard.counted()
    # A connection that ends without an answer was not read any more: nothing of it was done.
    for about, replies in heard.replies.items():
        statuses = [reply.status for reply in replies]
        assert statuses[-1] == 200, about
        assert set(statuses[:-1]) <= {0, 503}, about
    assert await check_conservation(shop) == {about for _, about in heard.replies}
    assert_calm(nodes)


def asks(shop: Shop, orders: Orders) -> Iterator[Ask]:
    """Each order once, at one of the nodes; every second under a key."""
    everything = [*orders.plain, *orders.with_visit, *orders.tickets]
    for n, order in enumerate(sorted(everything, key=lambda one: hash(str(one)[::-1]))):
        ask = cancel(shop, order, n % 2)
        yield under_key(ask, f"key-{order}") if is_keyed(order) else ask


def is_keyed(order: int | str) -> bool:
    return order % 2 == 0 if isinstance(order, int) else int(order, 16) % 2 == 0


def is_final(reply: Reply) -> bool:
    return reply.status not in {0, 500, 503}


async def all_cancelled_once(shop: Shop, orders: Orders, heard: Heard) -> None:
    everything = [*orders.plain, *orders.with_visit, *orders.tickets]
    named = {order if isinstance(order, int) else number(order): order for order in everything}
    assert await check_conservation(shop) == set(named)
    assert await shop.column("SELECT count(*) FROM cancellations") == [len(named)]
    for id_, order in named.items():
        *before, last = heard.statuses(("cancel", id_))
        # The database was back before anybody gave up looking for what became of a batch. Only a ticket order's answer,
        # which shows the order, may be missing after the order is cancelled.
        assert 500 not in before or isinstance(order, str)
        if last == 200:
            continue
        # Somebody was the first: this caller itself, in a request whose outcome it never heard. 503 would have been a
        # lie: certainly not done. And under a key a repeat hears yes again.
        assert not is_keyed(order), (order, before, last)
        assert last in {409, 422}
        assert set(before) & {0, 500}, (order, before, last)


def assert_calm(nodes: list[Served]) -> None:
    """Nothing in the logs that is a bug of ours."""
    for node in nodes:
        assert "Traceback" not in node.log
        assert '"exception"' not in node.log
        assert "a batch failed" not in node.log
