"""The connection between a node and PostgreSQL is cut, or goes dead, at the worst moments: callers are told the truth.

The node's limits are short here, so that what waits for them is soon over.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from own_postgres import OwnPostgres
from support.conservation import check_conservation
from support.load import Reply, drive, one
from support.nodes import Shop, a_node, a_shop, url_at
from support.orders import cancel, number, page, pay, under_key, until, visit
from support.proxy import TAKES_MONEY, Loses, Proxy, a_proxy
from support.serving import Served

pytestmark = pytest.mark.slow

LIMITS = {
    "database_statement_limit_s": 0.5,
    "database_connect_limit_s": 0.5,
    "database_busy_limit_s": 1,
    "settle_limit_s": 3,
    "client_refresh_s": 30,  # or whoever calls is asked of the database, too
}


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with OwnPostgres({"fsync": "off"}) as running:
        yield running


@pytest.fixture
def shop(server: OwnPostgres, tmp_path: Path) -> Iterator[Shop]:
    with a_shop(server, tmp_path) as made:
        yield made


@asynccontextmanager
async def cut(shop: Shop, server: OwnPostgres, **settings: Any) -> AsyncIterator[tuple[Served, Proxy]]:
    """A node that reaches its database through a proxy, and has cancelled before: it has a connection."""
    async with a_proxy(server.port) as proxy:
        with ExitStack() as stack:
            through = url_at(proxy.port, shop.url.rpartition("/")[2])
            start = stack.enter_context
            node = await asyncio.to_thread(lambda: start(a_node(shop, database_url=through, **LIMITS | settings)))
            made = await shop.orders(plain=1, tickets=1)
            for order in (*made.plain, *made.tickets):
                assert (await one(node.port, cancel(shop, order))).status == 200
            yield node, proxy


@pytest.mark.parametrize("distributed", ["false", "true"], ids=["one statement", "in parts"])
@pytest.mark.parametrize("how", [Loses.ANSWER_AND_ENDS, Loses.ANSWER_AND_HOLDS], ids=lambda how: how.name)
async def test_cut_between_the_commit_and_its_answer_all_hear_yes_and_it_is_done_once(
    how: Loses, distributed: str, shop: Shop, server: OwnPostgres
):
    async with cut(shop, server, database_distributed=distributed) as (node, proxy):
        orders = await shop.orders(plain=20, with_visit=10, tickets=10)
        everything = [*orders.plain, *orders.with_visit, *orders.tickets]
        proxy.lose(how, at_commit=distributed == "true")
        heard = await drive([node.port], [cancel(shop, order) for order in everything])
        assert proxy.lost.is_set()
        assert heard.counted() == {200: 40}
        assert "the outcome of a batch was found" in node.log
        assert len(await check_conservation(shop)) == 42
        assert await shop.column("SELECT order_id FROM refusals") == []
        again = await drive([node.port], [cancel(shop, order) for order in everything])
        assert again.counted() == {422: 30, 409: 10}


@pytest.mark.parametrize("how", [Loses.STATEMENT_AND_ENDS, Loses.STATEMENT_AND_HOLDS], ids=lambda how: how.name)
async def test_cut_before_the_statement_arrives_all_hear_not_done_and_it_is_not_not_even_later(
    how: Loses, shop: Shop, server: OwnPostgres
):
    async with cut(shop, server) as (node, proxy):
        orders = await shop.orders(with_visit=10, tickets=10)
        everything = [*orders.with_visit, *orders.tickets]
        proxy.lose(how)
        heard = await drive([node.port], [cancel(shop, order) for order in everything])
        assert proxy.lost.is_set()
        lost = heard.with_status(503)
        assert heard.with_status(200) == {("cancel", id_) for id_ in await cancelled_of(shop, everything)}
        assert lost == set(heard.replies) - heard.with_status(200)
        assert len(lost) > 0
        for about in lost:
            check_unavailable(heard.replies[about][0])
        await proxy.deliver_late()
        await asyncio.sleep(0.2)  # for the server to do it, if it would
        assert {("cancel", id_) for id_ in await cancelled_of(shop, everything)} == heard.with_status(200)
        again = [cancel(shop, order) for order in everything if about_of(order) in lost]
        assert (await drive([node.port], again)).counted() == {200: len(lost)}
        assert len(await check_conservation(shop)) == 22


async def test_whoever_finds_the_order_cancelled_by_another_command_does_not_say_that_it_was_its_own(
    shop: Shop, server: OwnPostgres
):
    async with cut(shop, server) as (node, proxy):
        with ExitStack() as stack:
            other = await asyncio.to_thread(lambda: stack.enter_context(a_node(shop)))
            (order,) = (await shop.orders(plain=1)).plain
            proxy.lose(Loses.STATEMENT_AND_HOLDS)
            waiting = asyncio.create_task(one(node.port, cancel(shop, order)))
            await asyncio.wait_for(proxy.lost.wait(), 20)
            assert (await one(other.port, cancel(shop, order))).status == 200
            check_unavailable(await waiting)
            assert (await one(node.port, cancel(shop, order))).status == 422
        assert order in await check_conservation(shop)


async def test_where_nothing_comes_through_any_more_all_are_answered_and_once_it_does_all_goes_on(
    shop: Shop, server: OwnPostgres
):
    async with cut(shop, server) as (node, proxy):
        orders = await shop.orders(plain=10, tickets=10)
        everything = [*orders.plain, *orders.tickets]
        proxy.swallow_everything()
        alive = asyncio.create_task(probed(node, "/healthz", seconds=3))
        heard = await drive([node.port], [cancel(shop, order) for order in everything])
        assert set(heard.counted()) <= {500, 503}
        for replies in heard.replies.values():
            if replies[0].status == 503:
                check_unavailable(replies[0])
            else:
                check_unknown(replies[0])
        assert await alive == {200}
        assert (await one(node.port, page("/readyz"))).status == 503
        proxy.let_through()
        assert await until(node.port, page("/readyz"), 200) == 200
        settled = await drive(
            [node.port], [cancel(shop, order) for order in everything], until=lambda r: r.status < 500
        )
        for about, replies in settled.replies.items():
            # What was unknown may have been done, by the statement that arrived late; what was not done, was not.
            if replies[-1].status != 200:
                assert heard.statuses(about) == [500]
        assert len(await check_conservation(shop)) == 22
        assert "Traceback" not in node.log
        assert '"exception"' not in node.log


async def test_a_host_that_vanishes_without_a_word_is_left_for_the_one_that_was_promoted(tmp_path: Path):
    async with AsyncExitStack() as stack:
        start = stack.enter_context
        primary = start(OwnPostgres())
        standby = start(OwnPostgres.standby_of(primary, synchronous=True))
        shop = start(a_shop(primary, tmp_path))
        to_primary, to_standby = [await stack.enter_async_context(a_proxy(one.port)) for one in (primary, standby)]
        database, loop = shop.url.rpartition("/")[2], asyncio.get_running_loop()
        both = url_at([to_primary.port, to_standby.port], database)
        nodes = [await asyncio.to_thread(lambda: start(a_node(shop, database_url=both, **LIMITS))) for _ in range(2)]
        orders = await shop.orders(plain=600, with_visit=200, tickets=200)
        everything = [*orders.plain, *orders.with_visit, *orders.tickets]

        def vanished() -> None:
            loop.call_soon_threadsafe(to_primary.swallow_everything)
            primary.kill()
            standby.promote()

        heard = await drive(
            [node.port for node in nodes],
            [under_key(cancel(shop, order, n % 2), f"key-{order}") for n, order in enumerate(everything)],
            until=lambda reply: reply.status not in {0, 500, 503},
            after=300,
            happens=vanished,
        )
        heard.tell()
        assert {heard.statuses(about)[-1] for about in heard.replies} == {200}
        for node in nodes:
            assert await until(node.port, page("/readyz"), 200) == 200
        assert [node.stop() for node in nodes] == [0, 0]
        assert not any("Traceback" in node.log or '"exception"' in node.log for node in nodes)
        shop.url = url_at(standby.port, database)
        assert len(await check_conservation(shop)) == 1_000


async def test_a_payment_whose_commit_was_cut_off_is_there_or_not_and_a_repeat_says_which(
    shop: Shop, server: OwnPostgres
):
    async with cut(shop, server) as (node, proxy):
        made = await shop.orders(plain=2, tickets=2)
        paid, unpaid = made.tickets
        proxy.lose(Loses.ANSWER_AND_ENDS, TAKES_MONEY, at_commit=True)
        assert (await one(node.port, visit(shop, made.plain[0], "POST", 30))).status == 201  # another commit, not lost
        assert (await one(node.port, pay(shop, paid))).status == 500
        assert proxy.lost.is_set()
        proxy.lose(Loses.STATEMENT_AND_ENDS, TAKES_MONEY, at_commit=True)
        assert (await one(node.port, visit(shop, made.plain[1], "POST", 30))).status == 201
        assert (await one(node.port, pay(shop, unpaid))).status == 500
        assert proxy.lost.is_set()
        assert await shop.column("SELECT order_id FROM payments") == [number(paid)]
        assert (await one(node.port, pay(shop, paid))).status == 200
        assert (await one(node.port, pay(shop, unpaid))).status == 201
        assert len(await shop.column("SELECT order_id FROM payments")) == 2
        await check_conservation(shop)


def about_of(order: int | str) -> tuple[str, int]:
    return "cancel", order if isinstance(order, int) else number(order)


async def cancelled_of(shop: Shop, orders: list[Any]) -> list[int]:
    ids = [about_of(order)[1] for order in orders]
    return await shop.column("SELECT order_id FROM cancellations WHERE order_id = ANY($1)", ids)


def check_unavailable(reply: Reply) -> None:
    """503 in the contract's own shape: certainly not done, and worth asking again."""
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) >= 1
    said = reply.json
    if "errors" in said and "type" not in said:
        assert [error["code"] for error in said["errors"]] == ["unavailable"]
    else:
        assert said["type"] == "UNAVAILABLE"


def check_unknown(reply: Reply) -> None:
    assert reply.status == 500
    assert "retry-after" not in reply.headers
    said = reply.json
    if "errors" in said and "type" not in said:
        assert [error["code"] for error in said["errors"]] == ["unexpected"]
    else:
        assert said["type"] == "UNKNOWN_ERROR"


async def probed(node: Served, path: str, *, seconds: float) -> set[int]:
    """The statuses of a page that is asked for again and again."""
    statuses = set()
    for _ in range(int(seconds / 0.1)):
        statuses.add((await one(node.port, page(path))).status)
        await asyncio.sleep(0.1)
    return statuses
