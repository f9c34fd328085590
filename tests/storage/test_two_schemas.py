"""Old and new nodes run on one schema: migrations expand first, and contract when no old node is left."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.errors import SchemaError
from countermand.bootstrap.database import address_of, open_database
from countermand.domain.orders.order_state import Transition
from countermand.storage.schema import NEWEST_SCHEMA, OLDEST_SCHEMA, DatabaseAddress, check_schema
from support.beside import beside
from support.outside import outside
from support.postgres import a_connection, administer, until_waiting
from support.schemas import migrate_as_newer_code, newer_code, with_next_migrations
from support.world import Caller, World

NEXT = NEWEST_SCHEMA + 1
SOON = timedelta(hours=3)

# Columns in tables that statements here read whole, too; a table of its own; and an index on what is written most.
EXPANDS = """
for table in ("orders", "idempotency_keys", "refusals", "outbox", "clients", "cancellations"):
    op.add_column(table, sa.Column("made_up", sa.Text(), nullable=True))
op.add_column("orders", sa.Column("urgency", sa.Integer(), nullable=False, server_default="3"))
op.create_table("made_up", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("said", sa.Text()))
op.create_index("ix_made_up", "orders", ["created_at"])
"""
CONTRACTS = """
op.drop_table("counters" if op.get_context().dialect.name == "postgresql" else "made_up")
"""


@pytest.fixture
def expanding(tmp_path: Path) -> Iterator[None]:
    """There is a next migration, which only adds, and says so."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        with_next_migrations(tmp_path, monkeypatch, (EXPANDS, NEWEST_SCHEMA))
        yield


@pytest.mark.usefixtures("expanding")
async def test_a_running_node_notices_nothing_of_a_migration_that_only_adds(world: World):
    async with Traffic.on(world) as traffic:
        await traffic.rounds(2)
        await asyncio.to_thread(migrate_as_newer_code, where(world))
        await traffic.rounds(3)
    assert traffic.errors == []
    assert (await world.http.get("/readyz")).status_code == 200
    async with outside(world) as other:
        assert await other.column("SELECT number FROM schema_notes ORDER BY number") == [
            *range(2, NEWEST_SCHEMA + 1),
            NEXT,
        ]
        assert await other.column("SELECT DISTINCT urgency FROM orders") == [3]
    # Whoever is of the old version may also be started anew.
    await check_schema(where(world))


@pytest.mark.usefixtures("expanding")
async def test_a_node_of_the_next_version_works_beside_it(world: World):
    me = await world.connect_client()
    await asyncio.to_thread(migrate_as_newer_code, where(world))
    with newer_code(newest=NEXT):
        async with beside(world) as newer:
            assert (await newer.http.get("/readyz")).status_code == 200
            for one, other in ((world, newer), (newer, world)):
                order_id = await one.service_order(me, appointment_in=timedelta(hours=30))
                assert isinstance(await other.cancel(me, order_id, key=f"{order_id}"), Cancelled)
                assert isinstance(await one.cancel(me, order_id, key=f"{order_id}"), Cancelled)
                assert isinstance(await one.cancel(me, order_id), NotCancelled)
    assert (await world.http.get("/readyz")).status_code == 200


@pytest.mark.usefixtures("expanding")
async def test_a_node_of_the_next_version_may_come_before_its_migration(world: World):
    me = await world.connect_client()
    with newer_code(newest=NEXT):
        async with beside(world) as newer:
            assert (await newer.http.get("/readyz")).status_code == 200
            assert isinstance(await newer.cancel(me, await world.service_order(me)), Cancelled)
            await asyncio.to_thread(migrate_as_newer_code, where(world))
            assert (await newer.http.get("/readyz")).status_code == 200
            assert isinstance(await newer.cancel(me, await world.service_order(me)), Cancelled)


@pytest.mark.usefixtures("expanding")
@pytest.mark.parametrize("meets", ["a long transaction", "a deadlock"])
async def test_a_migration_that_meets_others_waits_for_nobody_long_and_is_done_in_the_end(
    postgres_world: World, meets: str
):
    world = postgres_world
    me = await world.connect_client()
    order_id = await world.service_order(me)
    assert world.settings.database_url is not None
    name = urlsplit(world.settings.database_url.get_secret_value()).path.removeprefix("/")
    administer(f"ALTER DATABASE {name} SET deadlock_timeout = '100ms'")
    async with a_connection(world) as other, a_connection(world) as watching:
        await other.execute("SET deadlock_timeout = '1min'")  # of the two, the migration is to be chosen
        async with other.transaction():
            held = "orders" if meets == "a long transaction" else "outbox"
            await other.execute(f"LOCK TABLE {held} IN ROW EXCLUSIVE MODE")
            migrating = asyncio.create_task(asyncio.to_thread(migrate_as_newer_code, where(world)))
            await until_waiting(watching)
            if meets == "a deadlock":  # the migration has the orders by now, and waits for the outbox
                await other.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
            else:  # it lets others through, instead of making everybody wait behind it
                assert isinstance(await world.cancel(me, order_id), Cancelled)
            assert not migrating.done()
        await migrating
    async with outside(world) as seen:
        assert await seen.column("SELECT number FROM schema_notes ORDER BY number") == [
            *range(2, NEWEST_SCHEMA + 1),
            NEXT,
        ]


async def test_a_migration_that_takes_away_makes_old_nodes_unready_with_a_sentence(world: World, tmp_path: Path):
    with pytest.MonkeyPatch.context() as monkeypatch:
        with_next_migrations(tmp_path, monkeypatch, (EXPANDS, NEWEST_SCHEMA), (CONTRACTS, NEXT))
        assert (await world.http.get("/readyz")).status_code == 200
        await asyncio.to_thread(migrate_as_newer_code, where(world))
    answer = await world.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "the database has another schema than this version works with"
    said = f"schema {NEXT + 1}, which needs a Countermand for schema {NEXT} or newer, .*start a newer Countermand"
    with pytest.raises(SchemaError, match=said):
        await open_database(world.settings)
    with newer_code(newest=NEXT + 1, oldest=NEXT):
        await check_schema(where(world))
        async with beside(world) as newer:
            assert (await newer.http.get("/readyz")).status_code == 200
            me = await newer.connect_client()
            assert isinstance(await newer.cancel(me, await newer.service_order(me)), Cancelled)


async def test_code_that_needs_more_than_the_database_has_refuses_it_and_says_what_to_do(world: World):
    with newer_code(newest=NEXT, oldest=NEXT):
        said = f"has schema {NEWEST_SCHEMA}, this version works with {NEXT} and newer; bring it up with: .* migrate"
        with pytest.raises(SchemaError, match=said):
            await open_database(world.settings)
        assert (await world.http.get("/readyz")).status_code == 503
    assert (await world.http.get("/readyz")).status_code == 200
    assert OLDEST_SCHEMA <= NEWEST_SCHEMA


class Traffic:
    """Orders are placed, changed, read, cancelled and refused for as long as the block runs."""

    def __init__(self, world: World, partner: Caller, shop: Caller, product: str) -> None:
        self._world, self._partner, self._shop, self._product = world, partner, shop, product
        self._done, self._stopping = 0, False
        self._another_round = asyncio.Condition()
        self.errors: list[str] = []

    @classmethod
    @asynccontextmanager
    async def on(cls, world: World) -> AsyncIterator["Traffic"]:
        partner, shop = await world.connect_client(), await world.shopping_client()
        traffic = cls(world, partner, shop, await world.product(stock=100_000))
        going = [asyncio.create_task(traffic._goes_on(number)) for number in range(4)]
        yield traffic
        traffic._stopping = True
        await asyncio.gather(*going)

    async def rounds(self, how_many: int) -> None:
        """Return when everything was done so often more."""
        wanted = self._done + 4 * how_many
        async with self._another_round:
            await self._another_round.wait_for(lambda: self._done >= wanted)

    async def _goes_on(self, who: int) -> None:
        number = 0
        while not self._stopping:
            number += 1
            try:
                await self._round(f"{who}-{number}")
            except Exception as error:  # noqa: BLE001 - told at the end
                self.errors.append(repr(error))
            async with self._another_round:
                self._done += 1
                self._another_round.notify_all()

    async def _round(self, key: str) -> None:
        world, me = self._world, self._partner
        order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
        refused = await world.service_order(me, appointment_in=SOON, moves=(Transition.ACCEPT,))
        tickets = await world.ticket_order(self._shop, product=self._product)
        for _ in range(2):
            assert isinstance(await world.cancel(me, order_id, key=f"a {key}"), Cancelled)
            assert isinstance(await world.cancel(me, refused, key=f"b {key}"), NotCancelled)
        assert isinstance(await world.cancel(self._shop, tickets.order.id), Cancelled)
        await world.pay(refused)
        for path, headers in (
            (f"/api/connect/orders/{order_id}", world.connect_headers(me)),
            (f"/orders/{tickets.order.uid}", world.shopping_headers(self._shop)),
        ):
            answer = await world.http.get(path, headers=headers)
            assert answer.status_code == 200, answer.text
        assert (await world.http.get("/readyz")).status_code == 200


def where(world: World) -> DatabaseAddress:
    return address_of(world.settings)
