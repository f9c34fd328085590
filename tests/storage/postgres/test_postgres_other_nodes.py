"""Several nodes on one database: what one of them holds, has just done, or does at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.errors import HeldError, IdempotencyKeyReusedError, UnavailableError, UnfitDataError
from countermand.domain.cancelling.policy import policy_of
from support.contracts import CONNECT, SHOPPING
from support.postgres import a_connection, a_database, until_waiting
from support.watched import watched
from support.world import World, a_world


@asynccontextmanager
async def nodes(folder: Path, how_many: int = 2, **settings: object) -> AsyncIterator[list[World]]:
    """So many nodes on a database of their own."""
    with a_database() as url:
        made: list[World] = []

        @asynccontextmanager
        async def one_more() -> AsyncIterator[list[World]]:
            if len(made) == how_many:
                yield made
                return
            async with a_world(folder, database_url=url, **settings) as world:
                made.append(world)
                async with one_more() as all_of_them:
                    yield all_of_them

        async with one_more() as all_of_them:
            yield all_of_them


# keys

# Whoever has written a key waits for the test, before it is committed.
WAITS_WITH_A_KEY = """
CREATE FUNCTION wait_with_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
CREATE TRIGGER waits AFTER INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION wait_with_key()
"""


@pytest.mark.parametrize("same_request", [True, False])
async def test_a_key_that_another_node_is_using_at_this_moment_is_awaited_and_then_stands_for_what_it_did(
    tmp_path: Path, *, same_request: bool
):
    async with nodes(tmp_path) as (one, other), a_connection(one) as connection:
        me = await one.connect_client()
        wanted, another, innocent = [await one.service_order(me) for _ in range(3)]
        await connection.execute(WAITS_WITH_A_KEY)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(1)")
            first = asyncio.create_task(other.cancel(me, wanted, key="k"))
            await until_waiting(connection)
            asked = wanted if same_request else another
            later = [
                asyncio.create_task(one.cancel(me, asked, key="k")),
                asyncio.create_task(one.cancel(me, innocent, key="fresh")),
            ]
            await until_waiting(connection, 2)
        assert isinstance(await first, Cancelled)
        answers = await asyncio.gather(*later, return_exceptions=True)
    expected = Cancelled if same_request else IdempotencyKeyReusedError
    assert [type(answer) for answer in answers] == [expected, Cancelled]


async def test_a_key_written_and_not_yet_committed_elsewhere_clashes_alone(tmp_path: Path):
    async with nodes(tmp_path, 1) as (world,), a_connection(world) as connection:
        me = await world.connect_client()
        order_id, innocent = await world.service_order(me), await world.service_order(me)
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at, answer)"
                " VALUES ($1, 'k', 'another request', 0, '{}')",
                me.client.id,
            )
            asked = [
                asyncio.create_task(world.cancel(me, order, key=key))
                for order, key in ((order_id, "k"), (innocent, "i"))
            ]
            await until_waiting(connection)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [IdempotencyKeyReusedError, Cancelled]
        assert [row["order_id"] for row in await world.rows("cancellations")] == [innocent]
        assert [row["answer"] for row in await world.rows("idempotency_keys")] == [None, "{}"]


async def test_a_key_given_up_elsewhere_is_free(tmp_path: Path):
    async with nodes(tmp_path, 1) as (world,), a_connection(world) as connection:
        me = await world.connect_client()
        order_id = await world.service_order(me)
        undone = connection.transaction()
        await undone.start()
        await connection.execute(
            "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES ($1, 'k', 'f', 0)",
            me.client.id,
        )
        asked = asyncio.create_task(world.cancel(me, order_id, key="k"))
        await until_waiting(connection)
        await undone.rollback()
        assert isinstance(await asked, Cancelled)
        assert len(await world.rows("idempotency_keys")) == 1


async def test_one_request_sent_to_every_node_at_once_under_one_key_is_done_once_and_answered_alike(tmp_path: Path):
    async with nodes(tmp_path, 3) as worlds:
        me = await worlds[0].connect_client()
        for number in range(10):
            order_id = await worlds[0].service_order(me)
            answers = await asyncio.gather(*(world.cancel(me, order_id, key=f"k{number}") for world in worlds * 2))
            assert answers == [Cancelled(order_id=order_id)] * 6
        assert len(await worlds[0].rows("cancellations")) == len(await worlds[0].rows("idempotency_keys")) == 10
        assert await worlds[0].rows("refusals") == []


async def test_one_order_asked_of_every_node_at_once_without_a_key_is_cancelled_once(tmp_path: Path):
    async with nodes(tmp_path, 3) as worlds:
        me = await worlds[0].connect_client()
        for _ in range(10):
            order_id = await worlds[0].service_order(me)
            answers = await asyncio.gather(*(world.cancel(me, order_id) for world in worlds * 2))
            assert sorted(type(answer).__name__ for answer in answers) == ["Cancelled"] + ["NotCancelled"] * 5
        assert len(await worlds[0].rows("cancellations")) == 10
        facts = [row["kind"] for row in await worlds[0].rows("outbox")]
        assert facts.count("order.cancelled") == 10


# what is held


@pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])
async def test_an_order_held_for_long_is_503_alone_and_the_others_of_its_batch_are_cancelled(
    tmp_path: Path, *, in_parts: bool
):
    async with nodes(tmp_path, 1, database_busy_limit_s=0.2, database_distributed=in_parts) as (world,):
        me = await world.connect_client()
        ids = [await world.service_order(me) for _ in range(5)]
        async with a_connection(world) as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", ids[2])
            answers = await world.service.commit.run(
                [world.command(me, order_id, key=f"{order_id}") for order_id in ids]
            )
            held = answers.pop(2)
            assert isinstance(held, HeldError)
            assert {type(answer) for answer in answers} == {Cancelled}
            assert [row["order_id"] for row in await world.rows("cancellations")] == [*ids[:2], *ids[3:]]
            assert f"{ids[2]}" not in {row["key"] for row in await world.rows("idempotency_keys")}
        assert isinstance(await world.cancel(me, ids[2], key=f"{ids[2]}"), Cancelled)


@pytest.mark.parametrize("sqlstate", ["23514", "40001", "57014"])
async def test_what_fails_beside_a_held_order_takes_back_no_yes_that_was_committed_before_it(
    tmp_path: Path, sqlstate: str
):
    """In parts, a batch that goes on without what is held commits each order by itself."""
    async with nodes(tmp_path, 1, database_busy_limit_s=0.2, database_distributed=True) as (world,):
        me = await world.connect_client()
        ids = [await world.service_order(me) for _ in range(5)]
        failing = f"RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'"
        async with a_connection(world) as connection:
            await connection.execute(
                f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {failing}; END $$;"
                "CREATE TRIGGER fails BEFORE INSERT ON cancellations FOR EACH ROW"
                f" WHEN (NEW.order_id = {ids[2]}) EXECUTE FUNCTION fail()"
            )
            async with connection.transaction():
                await connection.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", ids[4])
                answers = await world.service.commit.run([world.command(me, order_id) for order_id in ids])
        assert [type(answer) for answer in answers[:2]] == [Cancelled, Cancelled]
        assert all(isinstance(answer, UnavailableError) for answer in answers[2:])
        assert [row["order_id"] for row in await world.rows("cancellations")] == ids[:2]
        assert await world.rows("refusals") == []


async def test_while_a_batch_waits_for_a_held_order_other_batches_go_on(tmp_path: Path):
    async with nodes(tmp_path, 1, slow_batch_s=0.05) as (world,):
        me = await world.connect_client()
        held, *others = [await world.service_order(me) for _ in range(4)]
        async with a_connection(world) as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", held)
            waiting = asyncio.create_task(world.cancel(me, held))
            await until_waiting(connection)
            for order_id in others:
                assert isinstance(await world.cancel(me, order_id), Cancelled)
            assert not waiting.done()
        assert isinstance(await waiting, Cancelled)
        assert len(await world.rows("cancellations")) == 4


async def test_while_a_product_is_held_every_cancellation_of_something_else_succeeds(tmp_path: Path):
    async with nodes(tmp_path, 1, database_busy_limit_s=0.2) as (world,):
        shop, me = await world.shopping_client(), await world.connect_client()
        held, other = await world.product(stock=10), await world.product(stock=10)
        of_held = [(await world.ticket_order(shop, product=held)).order.id for _ in range(2)]
        of_both = (await world.ticket_order(shop, product=other)).order.id
        of_other = (await world.ticket_order(shop, product=other)).order.id
        plain = await world.service_order(me)
        async with a_connection(world) as connection:
            await connection.execute(
                "UPDATE tickets SET product_uid = $1 WHERE order_id = $2 AND number = 1", *(held, of_both)
            )
            async with connection.transaction():
                await connection.execute("SELECT 1 FROM products WHERE uid = $1 FOR NO KEY UPDATE", held)
                commands = [
                    world.command(shop, order_id, key=str(order_id)) for order_id in (*of_held, of_both, of_other)
                ]
                commands.append(world.command(me, plain))
                answers = await world.service.commit.run(commands)
                assert [type(answer) for answer in answers] == [HeldError] * 3 + [Cancelled] * 2
                cancelled = {row["order_id"] for row in await world.rows("cancellations")}
                assert cancelled == {of_other, plain}
                assert {row["key"] for row in await world.rows("idempotency_keys")} == {str(of_other)}
                assert await world.rows("refusals") == []
                stock = {row["uid"]: row["availability"] for row in await world.rows("products")}
                assert stock == {held: 6, other: 8}
        for order_id in (*of_held, of_both):
            assert isinstance(await world.cancel(shop, order_id, key=str(order_id)), Cancelled)
        assert {row["uid"]: row["availability"] for row in await world.rows("products")} == {held: 11, other: 9}


async def test_whose_ticket_of_a_held_product_is_void_is_cancelled(tmp_path: Path):
    async with nodes(tmp_path, 1, database_busy_limit_s=0.2) as (world,):
        shop = await world.shopping_client()
        held, other = await world.product(stock=10), await world.product(stock=10)
        stuck = (await world.ticket_order(shop, product=held)).order.id
        void = await world.ticket_order(shop, product=held)
        async with world.database.store.transaction() as tx:
            await tx.withdraw_tickets(void.order.id, [ticket.uid for ticket in void.tickets])
        async with a_connection(world) as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM products WHERE uid = $1 FOR NO KEY UPDATE", held)
            answers = await world.service.commit.run([world.command(shop, one) for one in (stuck, void.order.id)])
        assert [type(answer) for answer in answers] == [HeldError, Cancelled]
        assert {row["uid"]: row["availability"] for row in await world.rows("products")} == {held: 6, other: 10}


@pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])
async def test_while_somebody_writes_a_key_only_the_cancellation_under_that_key_is_503(
    tmp_path: Path, *, in_parts: bool
):
    async with nodes(tmp_path, 1, database_busy_limit_s=0.2, database_distributed=in_parts) as (world,):
        me = await world.connect_client()
        ids = [await world.service_order(me) for _ in range(6)]
        keys = ["k0", None, "used", "k3", None, "k5"]
        async with a_connection(world) as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES ($1, 'used', 'f', 0)",
                me.client.id,
            )
            batch = [world.command(me, order_id, key=key) for order_id, key in zip(ids, keys, strict=True)]
            answers = await world.service.commit.run(batch)
            assert isinstance(answers.pop(2), HeldError)
            assert {type(answer) for answer in answers} == {Cancelled}
            assert [row["order_id"] for row in await world.rows("cancellations")] == [*ids[:2], *ids[3:]]


async def test_while_somebody_writes_a_key_only_the_refusal_under_that_key_is_503(tmp_path: Path):
    async with nodes(tmp_path, 1, database_busy_limit_s=0.2) as (world,):
        me = await world.connect_client()
        ids = [await world.service_order(me, appointment_in=timedelta(hours=3)) for _ in range(3)]
        async with a_connection(world) as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES ($1, 'used', 'f', 0)",
                me.client.id,
            )
            batch = [
                world.command(me, order_id, key=key) for order_id, key in zip(ids, ["a", "used", None], strict=True)
            ]
            answers = await world.service.commit.run(batch)
            assert [type(answer) for answer in answers] == [NotCancelled, HeldError, NotCancelled]
            assert [row["order_id"] for row in await world.rows("refusals")] == [ids[0], ids[2]]


async def test_whoever_changes_a_held_order_gives_up_at_the_limit_with_nothing_done(tmp_path: Path):
    async with nodes(tmp_path, 1, database_busy_limit_s=0.2) as (world,):
        me = await world.connect_client()
        order_id = await world.service_order(me)
        async with a_connection(world) as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM orders WHERE id = $1 FOR UPDATE", order_id)
            with pytest.raises(UnavailableError):
                await world.pay(order_id)
        for table in ("payments", "payment_references"):
            assert await world.rows(table) == []
        await world.pay(order_id)


async def test_a_reference_that_another_order_is_claiming_is_awaited(tmp_path: Path):
    async with nodes(tmp_path) as (one, other), a_connection(one) as connection:
        me = await one.connect_client()
        first, second = await one.service_order(me), await one.service_order(me)
        async with one.database.store.transaction() as tx:
            assert await tx.claim_reference("psp-1", first) == first
            claiming = asyncio.create_task(other.pay(second, "psp-1"))
            await until_waiting(connection)
        (refused,) = await asyncio.gather(claiming, return_exceptions=True)
        assert getattr(refused, "code", None) == "payment_reference_used"
        assert await one.rows("payments") == []


# bad values


@pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])
@pytest.mark.parametrize("reason", ["a NUL: \0", "half a character: \ud83d"], ids=["by the server", "by the driver"])
async def test_one_commands_bad_value_fails_it_alone(tmp_path: Path, reason: str, *, in_parts: bool):
    async with nodes(tmp_path, 1, database_distributed=in_parts) as (world,):
        me = await world.connect_client()
        ids = [await world.service_order(me) for _ in range(4)]
        commands = [world.command(me, order_id, reason=reason if order_id == ids[1] else "fine") for order_id in ids]
        watch = watched(world)
        answers = await world.service.commit.run(commands)
        bad = answers.pop(1)
        assert type(bad) is UnfitDataError
        assert {type(answer) for answer in answers} == {Cancelled}
        assert len([name for name in watch.statements if name.startswith("cancel")]) == 1 + 4
        assert ids[1] not in {row["order_id"] for row in await world.rows("cancellations")}


# counting, and policies


async def test_no_two_nodes_are_given_one_number(tmp_path: Path):
    async with nodes(tmp_path, 3) as worlds:

        async def counted(world: World) -> list[int]:
            numbers = []
            for _ in range(20):
                async with world.database.store.transaction() as tx:
                    numbers += [await tx.next_number(counter) for counter in ("order", "order")]
                    await tx.next_number("appointment")
            return numbers

        given = [number for numbers in await asyncio.gather(*map(counted, worlds)) for number in numbers]
        assert sorted(given) == list(range(1, 3 * 40 + 1))


async def test_nobody_waits_for_a_number_that_another_transaction_has_taken(tmp_path: Path):
    async with nodes(tmp_path) as (one, other), one.database.store.transaction() as held:
        first = await held.next_number("order")
        async with other.database.store.transaction() as tx:
            assert await tx.next_number("order") != first


async def test_policies_that_several_nodes_keep_at_once_are_kept_once(tmp_path: Path):
    async with nodes(tmp_path, 4) as worlds:
        rules = [{"name": "state_allows", "only": ["held"]}, {"name": "no_appointment_within", "notice_h": 48}]
        policies = [policy_of(CONNECT.name, rules), policy_of(SHOPPING.name, rules[:1])]
        before = len(await worlds[0].rows("policies"))
        await asyncio.gather(*(world.database.store.keep_policies(policies, world.clock()) for world in worlds))
        kept = [row["version"] for row in await worlds[0].rows("policies")]
        assert len(kept) == len(set(kept)) == before + 2
        assert {policy.version for policy in policies} <= set(kept)


async def test_a_policy_that_another_node_is_just_keeping_is_awaited_and_no_error(tmp_path: Path):
    async with nodes(tmp_path) as (one, other), a_connection(one) as connection:
        policy = policy_of(CONNECT.name, [{"name": "state_allows", "only": ["held"]}])
        async with one.database.store.transaction() as tx:
            await tx.keep_policy(policy, one.clock())
            keeping = asyncio.create_task(other.database.store.keep_policies([policy], other.clock()))
            await until_waiting(connection)
        await keeping
        assert [row["version"] for row in await one.rows("policies")].count(policy.version) == 1


async def test_a_refusal_under_a_key_that_another_node_takes_first_is_recorded_once(tmp_path: Path):
    async with nodes(tmp_path) as worlds:
        me = await worlds[0].connect_client()
        order_id = await worlds[0].service_order(me)
        await worlds[0].cancel(me, order_id)
        answers = await asyncio.gather(*(world.cancel(me, order_id, key="k") for world in worlds * 3))
        assert {type(answer) for answer in answers} == {NotCancelled}
        assert len({repr(answer) for answer in answers}) == 1
        assert len(await worlds[0].rows("refusals")) == len(await worlds[0].rows("idempotency_keys")) == 1
