"""One error a cause: only a key that is in use says so, and whatever else the database refuses is told as that."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import delete, text

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import (
    ConflictError,
    KeyTakenError,
    OrderTakenError,
    TakenError,
    UnavailableError,
    UnfitDataError,
)
from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.actions.identity.ports import ClientKey
from countermand.domain.client import OWN_ISSUER, Client, Permission
from countermand.storage.repositories.tokens import SqlUsedAssertions
from countermand.storage.tables.columns import metadata, micros
from countermand.storage.unique_keys import UNIQUE_KEYS
from support.breakage import takes_nothing
from support.connect_calls import SERVICE_ORDER
from support.contracts import CONNECT
from support.database_contents import changed, contents
from support.outside import outside
from support.ticket_shop import a_shop, check_conservation
from support.world import World

WORDS = "words of its own"
LATER = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)


async def test_every_unique_key_that_is_in_use_is_told_by_its_name(world: World):
    """A row that is inserted twice meets the key of its table first."""
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=40))
    await world.pay(order_id, "ref-1")
    await world.cancel(me, await world.service_order(me), key="k")
    expected = {"pk_orders": OrderTakenError, "pk_idempotency_keys": KeyTakenError}
    filled = [name for name in metadata.tables if await world.rows(name)]
    assert {"orders", "clients", "idempotency_keys", "payments", "outbox", "policies"} <= set(filled)
    for name in filled:
        with pytest.raises(TakenError) as raised:
            async with world.database.store.transaction() as tx:
                await tx.run(text(f"INSERT INTO {name} SELECT * FROM {name} LIMIT 1"))
        assert raised.value.constraint in {key for (table, _), key in UNIQUE_KEYS.items() if table == name}
        assert type(raised.value) is expected.get(raised.value.constraint, TakenError)


async def test_the_keys_have_the_names_in_the_database_that_we_know_them_by(postgres_world: World):
    async with outside(postgres_world) as other:
        query = "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indisunique"
        there = set(await other.column(query))
    assert set(UNIQUE_KEYS.values()) <= there


# what a caller hears


@pytest.mark.parametrize("table", ["orders", "order_details", "tickets", "outbox", "idempotency_keys"])
async def test_an_order_that_the_database_refuses_is_500_and_nobody_is_told_to_come_again(world: World, table: str):
    shop = await a_shop(world)
    product = await shop.product(stock=5)
    await takes_nothing(world, table, WORDS)
    before = await contents(world)
    with structlog.testing.capture_logs() as logged:
        answer = await shop.post("/orders", shop.body({product: 2}), Idempotency_Key="k")
    assert (answer.status_code, answer.json()["type"]) == (500, "UNKNOWN_ERROR")
    assert "retry-after" not in answer.headers
    assert WORDS not in answer.text
    assert not changed(before, await contents(world))
    (line,) = [line for line in logged if line["event"] == "the database refused a value"]
    code = line["code"] if world.settings.is_sqlite else line["sqlstate"]
    assert code == ("SQLITE_CONSTRAINT_TRIGGER" if world.settings.is_sqlite else "23514")
    await check_conservation(world)


async def test_a_telecom_order_whose_number_is_taken_is_503_and_the_repeat_has_another(postgres_world: World):
    """As after a restore to an earlier point."""
    me = await postgres_world.connect_client()
    first = await postgres_world.service_order(me)
    async with outside(postgres_world) as other:
        await other.rows("ALTER SEQUENCE order_number RESTART")
    headers, path = postgres_world.connect_headers(me), "/api/connect/orders/create"
    answers = [await postgres_world.http.post(path, json=SERVICE_ORDER, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 201]
    assert "the order was not placed; send the request again" in answers[0].text
    assert answers[0].headers["retry-after"] == "1"
    assert [row["id"] for row in await postgres_world.rows("orders")] == [first, first + 1]


async def test_a_cancellation_that_the_database_refuses_is_500_alone(world: World):
    me, shop = await world.connect_client(), await a_shop(world)
    product = await shop.product(stock=5)
    view = await world.ticket_order(shop.caller, product=product)
    order_id = await world.service_order(me)
    await takes_nothing_of(world, order_id)
    refused = await world.http.post(
        "/api/connect/orders/cancel", json={"orderId": order_id}, headers=world.connect_headers(me)
    )
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (500, "unexpected")
    assert "retry-after" not in refused.headers
    answers = await world.service.commit.run([world.command(me, order_id), world.command(shop.caller, view.order.id)])
    assert [type(answer) for answer in answers] == [UnfitDataError, Cancelled]
    assert [row["order_id"] for row in await world.rows("cancellations")] == [view.order.id]


@pytest.mark.parametrize("by", ["RAISE EXCEPTION 'frozen'", "RAISE SQLSTATE 'OP001'", "ASSERT false, 'frozen'"])
async def test_a_cancellation_that_an_operators_trigger_refuses_is_500_alone(postgres_world: World, by: str):
    me = await postgres_world.connect_client()
    frozen, *others = [await postgres_world.service_order(me) for _ in range(3)]
    async with outside(postgres_world) as other:
        does = f"BEGIN IF new.order_id = {frozen} THEN {by}; END IF; RETURN new; END"
        await other.rows(f"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ {does} $$")
        await other.rows("CREATE TRIGGER no BEFORE INSERT ON cancellations FOR EACH ROW EXECUTE FUNCTION no()")
    commands = [postgres_world.command(me, order_id) for order_id in (frozen, *others)]
    answers = await postgres_world.service.commit.run(commands)
    assert [type(answer) for answer in answers] == [UnfitDataError, Cancelled, Cancelled]
    assert [row["order_id"] for row in await postgres_world.rows("cancellations")] == others
    refused = await postgres_world.http.post(
        "/api/connect/orders/cancel", json={"orderId": frozen}, headers=postgres_world.connect_headers(me)
    )
    assert (refused.status_code, "retry-after" in refused.headers) == (500, False)


async def takes_nothing_of(world: World, order_id: int) -> None:
    """From now on, the database refuses to record that this order was cancelled."""
    async with world.database.store.transaction() as tx:
        if world.settings.is_sqlite:
            when = f"WHEN NEW.order_id = {order_id} BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
            await tx.run(text(f"CREATE TRIGGER deaf BEFORE INSERT ON cancellations {when}"))
        else:
            check = f"CHECK (order_id <> {order_id}) NOT VALID"
            await tx.run(text(f"ALTER TABLE cancellations ADD CONSTRAINT ck_cancellations_deaf {check}"))


# who took what for "taken"


async def test_a_client_is_there_already_only_where_it_has_the_same_name(world: World):
    async def add(**changed: Any) -> None:
        given = {
            "channel": CONNECT.channel,
            "name": "Partner",
            "permissions": frozenset({Permission.READ}),
            "key": None,
            "secret_sha256": None,
            "identity": ("issuer", "partner"),
            "now": world.clock(),
        } | changed
        await world.database.clients.add(**given)

    await add()
    with pytest.raises(ConflictError) as raised:
        await add()
    assert raised.value.code == "client_exists"
    await takes_nothing(world, "clients", WORDS)
    with pytest.raises(UnfitDataError):
        await add(identity=("issuer", "another"))
    assert len(await world.rows("clients")) == 1


async def test_a_number_of_a_client_that_was_given_out_already_is_not_its_name(postgres_world: World):
    """As after rows were moved in, and the sequence was forgotten."""
    me = await postgres_world.connect_client()
    async with outside(postgres_world) as other:
        await other.rows(f"SELECT setval('clients_id_seq', {me.client.id}, false)")
    with pytest.raises(TakenError) as raised:
        await postgres_world.connect_client("another")
    assert raised.value.constraint == "pk_clients"


async def test_an_assertion_was_used_only_where_its_row_is_there(world: World):
    used, me = SqlUsedAssertions(world.database.store), await world.connect_client()
    assert [await used.use(me.client.id, "j1", LATER) for _ in range(2)] == [True, False]
    await takes_nothing(world, "used_assertions", WORDS)
    with pytest.raises(UnfitDataError):
        await used.use(me.client.id, "j2", LATER)
    assert [row["jti_sha256"] for row in await world.rows("used_assertions")] == ["j1"]


async def test_a_key_of_an_operators_own_that_is_in_use_is_none_of_ours(world: World):
    """An index that somebody added: what clashes there is neither a key nor an assertion that was there before."""
    clients, used, me = world.database.clients, SqlUsedAssertions(world.database.store), await own_client(world)
    async with world.database.store.transaction() as tx:
        await tx.run(text("CREATE UNIQUE INDEX theirs ON used_assertions (expires_at)"))
        await tx.run(text("CREATE UNIQUE INDEX theirs_too ON client_keys (public_key)"))
    assert await used.use(me.id, "j1", LATER)
    with pytest.raises(TakenError):
        await used.use(me.id, "j2", LATER)
    with pytest.raises(TakenError):
        await clients.rotate_key(me.id, ClientKey(kid="k2", public_key="{}"), LATER, keep_old=True)
    with pytest.raises(ConflictError) as raised:
        await clients.rotate_key(me.id, ClientKey(kid="k1", public_key="[]"), LATER, keep_old=True)
    assert raised.value.code == "key_exists"
    assert [row["kid"] for row in await world.rows("client_keys")] == ["k1"]
    assert [row["jti_sha256"] for row in await world.rows("used_assertions")] == ["j1"]


async def test_a_signing_key_or_a_policy_that_an_operators_own_key_refuses_is_not_taken_for_stored(world: World):
    keys, now, policies = world.database.signing_keys, world.clock(), world.database.policies.by_contract.values()
    await keys.add_first("k1", "{}", now)
    async with world.database.store.transaction() as tx:
        await tx.run(text(f"UPDATE signing_keys SET retired_at = {micros(now)}"))  # just now: nobody forgets it yet
        await tx.run(delete(metadata.tables["policies"]))
        await tx.run(text("CREATE UNIQUE INDEX theirs ON signing_keys (private_key)"))
        await tx.run(text("CREATE UNIQUE INDEX theirs_too ON policies (first_used_at)"))
    with pytest.raises(TakenError):
        await keys.add_first("k2", "{}", now)
    with pytest.raises(TakenError):
        await world.database.store.keep_policies([*policies], now)
    assert [row["kid"] for row in await world.rows("signing_keys")] == ["k1"]
    assert len(await world.rows("policies")) == 1


async def own_client(world: World) -> Client:
    return await world.database.clients.add(
        channel=CONNECT.channel,
        name="Partner",
        permissions=frozenset({Permission.READ}),
        key=None,
        secret_sha256=None,
        identity=(OWN_ISSUER, "partner"),
        now=world.clock(),
        client_key=ClientKey(kid="k1", public_key="{}"),
    )


async def test_a_signing_key_that_the_database_refuses_is_not_taken_for_another_nodes(world: World):
    keys, now = world.database.signing_keys, world.clock()
    await takes_nothing(world, "signing_keys", WORDS)
    for adding in (keys.add_first("kid", "{}", now), keys.rotate("kid", "{}", now, overlap=timedelta(0))):
        with pytest.raises(UnfitDataError) as raised:
            await adding
        assert not isinstance(raised.value, TakenError)
    assert await world.rows("signing_keys") == []


async def test_a_policy_that_the_database_refuses_is_not_taken_for_one_that_is_stored(world: World):
    await takes_nothing(world, "policies", WORDS)
    before = await world.rows("policies")
    (policy, *_) = world.database.policies.by_contract.values()
    await world.database.store.keep_policies([policy], world.clock())  # it is there
    async with world.database.store.transaction() as tx:
        await tx.run(delete(metadata.tables["policies"]))
    with pytest.raises(UnfitDataError):
        await world.database.store.keep_policies([policy], world.clock())
    assert before
    assert await world.rows("policies") == []


async def test_a_key_that_the_database_refuses_is_not_taken_for_one_in_use(world: World):
    me = await world.connect_client()
    await takes_nothing(world, "idempotency_keys", WORDS)
    command = world.command(me, await world.service_order(me), key="k")
    assert [type(answer) for answer in await world.service.commit.run([command])] == [UnfitDataError]
    with pytest.raises(UnfitDataError) as raised:
        async with world.database.store.transaction() as tx:
            await tx.keep_answer(
                me.client.id,
                IdempotencyKey(key="k", fingerprints=Fingerprints(request="f", message="f")),
                b"{}",
                world.clock(),
            )
    assert not isinstance(raised.value, TakenError)
    assert await world.rows("cancellations") == []


async def test_a_connection_that_ends_in_the_middle_of_an_order_is_503(postgres_world: World):
    world = postgres_world
    shop = await a_shop(world)
    product = await shop.product(stock=5)
    async with world.database.store.transaction() as tx:
        ending = "BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END"
        await tx.run(text(f"CREATE FUNCTION ending() RETURNS trigger LANGUAGE plpgsql AS $$ {ending} $$"))
        await tx.run(text("CREATE TRIGGER ends BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION ending()"))
    before = await contents(world)
    answer = await shop.order({product: 1})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert not changed(before, await contents(world))


async def test_a_type_that_changed_under_a_prepared_statement_is_503_and_then_works(postgres_world: World):
    world = postgres_world
    me = await world.connect_client()
    order_id = await world.service_order(me)

    async def read() -> int:
        async with world.database.store.snapshot() as reading:
            order = await reading.order(order_id)
        assert order is not None
        return order.version

    assert [await read() for _ in range(10)] == [1] * 10
    async with outside(world) as other:
        await other.rows("ALTER TABLE orders ALTER COLUMN version TYPE bigint")
    with pytest.raises(UnavailableError):
        await read()
    assert await read() == 1
