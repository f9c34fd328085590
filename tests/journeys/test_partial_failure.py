"""PostgreSQL is there, and part of it does not work: nobody is told anything wrong, and all mends itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from own_postgres import OwnPostgres
from support.conservation import check_conservation
from support.load import Ask, Reply, one
from support.nodes import PASSWORD, ROLE, Shop, a_node, a_shop
from support.orders import cancel, page, pay, until
from support.serving import Served

LIMITS = {
    "database_statement_limit_s": 2,
    "database_connect_limit_s": 1,
    "database_busy_limit_s": 1,
    "client_refresh_s": 30,  # or whoever calls is asked of the database, too
}
# Words that an answer to a caller never has: they are the database's, the driver's or Python's.
HIDDEN = ("Traceback", "asyncpg", "sqlalchemy", "SQLSTATE", "53100", "disk", ROLE, PASSWORD, "127.0.0.1")

Breaks = Callable[[OwnPostgres, Shop], AbstractAsyncContextManager[None]]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with OwnPostgres({"fsync": "off"}) as running:
        yield running


@pytest.fixture
def shop(server: OwnPostgres, tmp_path: Path) -> Iterator[Shop]:
    with a_shop(server, tmp_path) as made:
        yield made


@pytest.fixture
def node(shop: Shop) -> Iterator[Served]:
    with a_node(shop, **LIMITS) as running:
        yield running


@asynccontextmanager
async def a_server_that_is_away(server: OwnPostgres, _: Shop) -> AsyncIterator[None]:
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


@asynccontextmanager
async def too_many_connections(server: OwnPostgres, _: Shop) -> AsyncIterator[None]:
    server.sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
    server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'")
    try:
        yield
    finally:
        server.sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


@asynccontextmanager
async def a_server_that_takes_no_writes(server: OwnPostgres, _: Shop) -> AsyncIterator[None]:
    server.configure({"default_transaction_read_only": "on"})
    try:
        yield
    finally:
        server.configure({"default_transaction_read_only": "off"})


def a_trigger(body: str, *, deferred: bool, tables: Sequence[str] = ("cancellations", "payments")) -> Breaks:
    """A trigger that fails whatever is recorded, at once or only with the commit."""
    kind, when = ("CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED") if deferred else ("", "")

    @asynccontextmanager
    async def broken(server: OwnPostgres, shop: Shop) -> AsyncIterator[None]:
        database = shop.url.rpartition("/")[2]
        server.sql(
            f"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;"
            + "".join(
                f"CREATE {kind} TRIGGER broken AFTER INSERT ON {table} {when} FOR EACH ROW EXECUTE FUNCTION broken();"
                for table in tables
            ),
            database,
        )
        try:
            yield
        finally:
            server.sql("DROP FUNCTION broken CASCADE", database)

    return broken


DISK_FULL = "RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';"
NOT_READY: dict[str, Breaks] = {
    "away": a_server_that_is_away,
    "too many connections": too_many_connections,
    "takes no writes": a_server_that_takes_no_writes,
}
READY: dict[str, Breaks] = {
    "the disk is full": a_trigger(DISK_FULL, deferred=False),
    "the disk is full at the commit": a_trigger(DISK_FULL, deferred=True),
    "it takes too long": a_trigger("PERFORM pg_sleep(20);", deferred=False),
    "out of memory": a_trigger("RAISE 'out of memory' USING ERRCODE = 'out_of_memory';", deferred=False),
}


@pytest.mark.parametrize(
    "breaks", ["away", *(pytest.param(name, marks=pytest.mark.slow) for name in (NOT_READY | READY) if name != "away")]
)
async def test_while_it_is_broken_nothing_is_done_and_all_hear_so_and_afterwards_it_is(
    breaks: str, server: OwnPostgres, shop: Shop, node: Served
):
    made = await shop.orders(plain=2, tickets=3)
    first, to_pay, tickets = made.plain[0], made.tickets[0], made.tickets[1]
    for ask in (cancel(shop, first), cancel(shop, made.tickets[2]), pay(shop, to_pay)):  # all callers are known by now
        assert (await one(node.port, ask)).status in {200, 201}
    asked = [cancel(shop, made.plain[1]), cancel(shop, tickets), pay_again(shop, to_pay)]
    stop = asyncio.Event()
    alive = asyncio.create_task(probed(node, "/healthz", stop))
    async with (NOT_READY | READY)[breaks](server, shop):
        if breaks in NOT_READY:
            assert await until(node.port, page("/readyz"), 503) == 503
        for ask in asked:
            check_unavailable(await one(node.port, ask))
        assert (await one(node.port, page("/readyz"))).status == (503 if breaks in NOT_READY else 200)
    assert await until(node.port, page("/readyz"), 200) == 200
    assert await shop.column("SELECT count(*) FROM cancellations") == [2]
    assert await shop.column("SELECT count(*) FROM payments") == [1]
    for ask in asked:
        assert await until(node.port, ask, 200, 201) in {200, 201}
    stop.set()
    assert await alive == {200}
    assert len(await check_conservation(shop)) == 4
    assert await shop.column("SELECT count(*) FROM payments") == [2]
    check_log(node)


@pytest.mark.slow
async def test_while_an_order_is_held_by_another_the_others_go_on(shop: Shop, node: Served):
    made = await shop.orders(plain=5, tickets=5)
    held, *others = made.plain
    holder = await asyncpg.connect(shop.url)
    holding = holder.transaction()
    await holding.start()
    await holder.execute("SELECT * FROM orders WHERE id = $1 FOR UPDATE", held)
    waiting = asyncio.create_task(one(node.port, cancel(shop, held)))
    for order in (*others, *made.tickets):
        assert (await one(node.port, cancel(shop, order))).status == 200
    check_unavailable(await waiting)
    assert (await one(node.port, page("/readyz"))).status == 200
    await holding.rollback()
    assert (await one(node.port, cancel(shop, held))).status == 200
    await holder.close()
    assert len(await check_conservation(shop)) == 10
    check_log(node)


@pytest.mark.slow
async def test_with_its_one_connection_taken_a_node_cancels_and_turns_the_rest_away(server: OwnPostgres, shop: Shop):
    made = await shop.orders(plain=2, tickets=3)
    held, cancelled, other = made.tickets
    with a_node(shop, **LIMITS | {"database_connections": 1, "database_statement_limit_s": 4}) as node:
        assert (await one(node.port, pay(shop, held))).status == 201
        for order in (made.plain[0], cancelled):
            assert (await one(node.port, cancel(shop, order))).status == 200
        async with a_trigger("PERFORM pg_sleep(20);", deferred=False, tables=("payments",))(server, shop):
            taking = asyncio.create_task(one(node.port, pay_again(shop, held)))
            await asyncio.sleep(0.2)
            turned_away = asyncio.create_task(one(node.port, pay(shop, other)))
            probe = asyncio.create_task(one(node.port, page("/readyz")))
            assert (await one(node.port, page("/healthz"))).status == 200
            assert (await one(node.port, cancel(shop, made.plain[1]))).status == 200
            check_unavailable(await turned_away)
            assert not taking.done()
            assert (await probe).status == 503
            check_unavailable(await taking)
        assert await until(node.port, page("/readyz"), 200) == 200
        assert await shop.column("SELECT count(*) FROM payments") == [1]
        for uid, again in ((held, pay_again), (other, pay)):
            assert (await one(node.port, again(shop, uid))).status == 201
        assert len(await check_conservation(shop)) == 3
        check_log(node)


def pay_again(shop: Shop, uid: str) -> Ask:
    """Another payment for the same order."""
    body: dict[str, Any] = {"reference": f"more money for {uid}", "amount": 5.0, "currency": "EUR"}
    path = f"/manage/v1/orders/{uid}/payments"
    return Ask(node=0, about=("pay again", uid), path=path, headers=shop.operator, body=body)


def check_unavailable(reply: Reply) -> None:
    """503 in the contract's own shape: certainly not done, and worth asking again; and no word of what is behind it."""
    assert reply.status == 503, reply
    assert int(reply.headers["retry-after"]) >= 1
    said = reply.json
    if "title" in said:
        assert reply.headers["content-type"] == "application/problem+json"
        assert (said["status"], said["code"]) == (503, "unavailable")
    elif "type" in said:
        assert (said["type"], bool(said["message"])) == ("UNAVAILABLE", True)
    else:
        assert [(error["code"], error["field"]) for error in said["errors"]] == [("unavailable", None)]
    assert [word for word in HIDDEN if word.encode() in reply.body] == []


def check_log(node: Served) -> None:
    assert PASSWORD not in node.log
    assert "Traceback" not in node.log
    assert '"exception"' not in node.log


async def probed(node: Served, path: str, stop: asyncio.Event) -> set[int]:
    """The statuses of a page that is asked for again and again."""
    statuses = set()
    while not stop.is_set():
        statuses.add((await one(node.port, page(path))).status)
        await asyncio.sleep(0.1)
    return statuses
