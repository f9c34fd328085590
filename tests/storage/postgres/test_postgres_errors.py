"""What PostgreSQL's "no" becomes: our error, whichever way it comes, and never with a secret."""

import asyncio
import secrets
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import structlog
from asyncpg import PostgresError
from sqlalchemy import text

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.errors import (
    CountermandError,
    HeldError,
    KeyTakenError,
    SchemaError,
    TakenError,
    TransientConflictError,
    UnavailableError,
    UnfitDataError,
    UnforeseenDatabaseError,
)
from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.bootstrap.database import open_database
from countermand.settings import read_settings
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.postgres.errors import MEANINGS, is_unanswered, our_error
from countermand.storage.schema import check_schema
from support.breakage import takes_nothing, without_its_database
from support.database_contents import changed, contents
from support.postgres import a_connection, a_database, administer, until_waiting
from support.watched import watched
from support.world import World, a_world

Connection = "asyncpg.Connection[asyncpg.Record]"

# By SQLSTATE: what it is to us, and whether it leaves open what became of a commit. One at least of each in the table.
RAISED: dict[str, tuple[type[Exception], bool]] = {
    "22001": (UnfitDataError, False),
    "22003": (UnfitDataError, False),
    "22021": (UnfitDataError, False),
    "23502": (UnfitDataError, False),
    "23503": (UnfitDataError, False),
    "23505": (TakenError, False),
    "23514": (UnfitDataError, False),
    "23P01": (UnfitDataError, False),
    "44000": (UnfitDataError, False),
    "54000": (UnfitDataError, False),
    "40001": (TransientConflictError, False),
    "40P01": (TransientConflictError, False),
    "40003": (TransientConflictError, True),
    "55P03": (HeldError, False),
    "08006": (UnavailableError, True),
    "25006": (UnavailableError, False),
    "25P03": (UnavailableError, False),
    "25P04": (UnavailableError, False),
    "28000": (UnavailableError, False),
    "3D000": (UnavailableError, False),
    "42501": (UnavailableError, False),
    "53100": (UnavailableError, False),
    "53200": (UnavailableError, False),
    "53300": (UnavailableError, False),
    "55000": (UnavailableError, False),
    "57014": (UnavailableError, False),
    "57P01": (UnavailableError, True),
    "57P02": (UnavailableError, True),
    "58030": (UnavailableError, False),
    "72000": (UnavailableError, False),
    "F0000": (UnavailableError, False),
    "XX000": (UnavailableError, False),
    "25P02": (UnforeseenDatabaseError, False),
    "42601": (UnforeseenDatabaseError, False),
    "42P01": (UnforeseenDatabaseError, False),
    "P0001": (UnfitDataError, False),
} | {
    f"{of_class}000": (UnforeseenDatabaseError, False)
    for of_class in [
        "03",
        "09",
        "0A",
        "0B",
        "0F",
        "0L",
        "0P",
        "0Z",
        "10",
        "20",
        "21",
        "24",
        "26",
        "27",
        "2B",
        "2D",
        "2F",
        "34",
        "38",
        "39",
        "3B",
        "3F",
        "HV",
    ]
}


def test_there_is_an_example_of_every_sqlstate_and_class_that_is_told_apart():
    assert {state if state in MEANINGS else state[:2] for state in RAISED} == set(MEANINGS)


def test_every_class_of_sqlstate_that_the_driver_knows_is_in_the_table_on_purpose():
    known = {getattr(kind, "sqlstate", None) for kind in raised_by_the_driver() if issubclass(kind, PostgresError)}
    assert {state[:2] for state in known if state} == {state[:2] for state in MEANINGS}


def test_whatever_the_driver_raises_of_itself_is_an_error_of_ours():
    own = [kind for kind in raised_by_the_driver() if not issubclass(kind, PostgresError)]
    assert asyncpg.InterfaceError in own
    assert {type(our_error(kind("gone"))) for kind in own} == {UnavailableError}
    assert type(our_error(asyncpg.DataError("invalid input for query argument $1"))) is UnfitDataError
    assert type(our_error(PostgresError("it has no SQLSTATE"))) is UnforeseenDatabaseError
    assert our_error(ZeroDivisionError("a bug")) is None
    assert type(our_error(PostgresError.new({"C": "OP001", "M": "a trigger's own"}))) is UnfitDataError


def raised_by_the_driver() -> list[type[Exception]]:
    return [
        kind
        for kind in vars(asyncpg.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning)
    ]


async def test_each_sqlstate_is_one_thing_to_us_whether_it_comes_from_the_driver_or_through_the_query_language(
    postgres_world: World,
):
    from_the_driver, through_the_language = {}, {}
    async with a_connection(postgres_world) as connection:
        for state in RAISED:
            raising = f"DO $$ BEGIN RAISE EXCEPTION 'it is no' USING ERRCODE = '{state}'; END $$"
            with pytest.raises(asyncpg.PostgresError) as raised:
                await connection.execute(raising)
            from_the_driver[state] = (type(our_error(raised.value)), is_unanswered(raised.value))
            with pytest.raises((CountermandError, UnforeseenDatabaseError)) as wrapped:
                await through_the_query_language(postgres_world, raising)
            cause = wrapped.value.__cause__
            assert cause is not None
            through_the_language[state] = (type(wrapped.value), is_unanswered(cause))
    assert from_the_driver == RAISED
    assert through_the_language == RAISED


# real ones


@asynccontextmanager
async def broken_constraint(_world: World, _other: Connection) -> AsyncIterator[str]:
    yield "INSERT INTO schema_notes VALUES (2, 2)"


@asynccontextmanager
async def too_long(_world: World, _other: Connection) -> AsyncIterator[str]:
    yield f"INSERT INTO payment_references VALUES ('{'x' * 256}', 1)"


@asynccontextmanager
async def nothing_where_there_must_be_something(_world: World, _other: Connection) -> AsyncIterator[str]:
    yield "INSERT INTO payment_references (reference) VALUES ('x')"


@asynccontextmanager
async def no_such_order(_world: World, _other: Connection) -> AsyncIterator[str]:
    yield "INSERT INTO order_details (order_id, reference, details) VALUES (1, 'r', '{}')"


@asynccontextmanager
async def held(_world: World, connection: Connection) -> AsyncIterator[str]:
    async with connection.transaction():
        await connection.execute("LOCK TABLE schema_notes IN ACCESS EXCLUSIVE MODE")
        yield "SET LOCAL lock_timeout = '20ms'; SELECT * FROM schema_notes"


@asynccontextmanager
async def too_slow(_world: World, _other: Connection) -> AsyncIterator[str]:
    yield "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(5)"


@asynccontextmanager
async def nothing_may_be_written(_world: World, _other: Connection) -> AsyncIterator[str]:
    yield "SET TRANSACTION READ ONLY; INSERT INTO schema_notes VALUES (7, 7)"


REAL = {
    broken_constraint: TakenError,
    too_long: UnfitDataError,
    nothing_where_there_must_be_something: UnfitDataError,
    no_such_order: UnfitDataError,
    held: HeldError,
    too_slow: UnavailableError,
    nothing_may_be_written: UnavailableError,
}


@pytest.mark.parametrize("what", REAL)
async def test_a_real_no_is_understood(postgres_world: World, what):
    async with a_connection(postgres_world) as other, what(postgres_world, other) as statements:
        with pytest.raises(REAL[what]) as raised:
            await through_the_query_language(postgres_world, *statements.split("; "))
    assert type(raised.value) is REAL[what]


async def test_a_key_in_use_is_told_from_every_other_constraint(postgres_world: World):
    me = await postgres_world.connect_client()
    for expected in (None, KeyTakenError):
        keeping = keep(postgres_world, me.client.id, "k")
        if expected is None:
            await keeping
        else:
            with pytest.raises(expected):
                await keeping
    duplicate = "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys"
    async with a_connection(postgres_world) as connection:
        with pytest.raises(asyncpg.UniqueViolationError) as raised:
            await connection.execute(duplicate)
    assert type(our_error(raised.value)) is KeyTakenError


async def test_of_two_that_wait_for_each_other_one_is_chosen_and_may_try_again(postgres_world: World):
    world = postgres_world
    me = await world.connect_client()
    first, second = await world.service_order(me), await world.service_order(me)

    taken = asyncio.Barrier(2)

    async def takes(mine: int, others: int) -> str:
        try:
            async with world.database.store.transaction() as tx:
                await tx.lock_order(mine)
                await taken.wait()
                await tx.lock_order(others)
        except TransientConflictError:
            return "chosen"
        return "done"

    assert sorted(await asyncio.gather(takes(first, second), takes(second, first))) == ["chosen", "done"]


async def test_a_row_changed_since_ones_view_of_it_is_a_conflict_that_may_be_tried_again(postgres_world: World):
    me = await postgres_world.connect_client()
    order_id = await postgres_world.service_order(me)
    async with a_connection(postgres_world) as connection, a_connection(postgres_world) as other:
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        await connection.fetch("SELECT 1 FROM orders")
        await other.execute("UPDATE orders SET version = 2 WHERE id = $1", order_id)
        with pytest.raises(asyncpg.SerializationError) as raised:
            await connection.execute("UPDATE orders SET version = 3 WHERE id = $1", order_id)
        await transaction.rollback()
    assert type(our_error(raised.value)) is TransientConflictError


@pytest.mark.parametrize("through", ["the driver", "the query language"])
async def test_a_connection_that_an_administrator_ends_is_503_and_leaves_a_commit_open(
    postgres_world: World, through: str
):
    async with a_connection(postgres_world) as other:
        if through == "the driver":
            async with a_connection(postgres_world) as connection:
                sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(30)"))
                await ended(other)
                (error,) = await asyncio.gather(sleeping, return_exceptions=True)
            assert isinstance(error, asyncpg.AdminShutdownError | asyncpg.ConnectionDoesNotExistError)
            assert is_unanswered(error)
            assert type(our_error(error)) is UnavailableError
        else:
            sleeping = asyncio.create_task(through_the_query_language(postgres_world, "SELECT pg_sleep(30)"))
            await ended(other)
            with pytest.raises(UnavailableError):
                await sleeping
    me = await postgres_world.connect_client()  # and the next one has a new connection
    assert isinstance(await postgres_world.cancel(me, await postgres_world.service_order(me)), Cancelled)


@pytest.mark.parametrize("sqlstate", ["53100", "57014", "25006"])
async def test_a_database_without_room_or_time_fails_the_batch_whole_and_is_not_asked_for_each(
    postgres_world: World, sqlstate: str
):
    world = postgres_world
    me = await world.connect_client()
    commands = [world.command(me, await world.service_order(me), key=f"k{number}") for number in range(5)]
    await takes_nothing(world, "cancellations", "words of its own", sqlstate=sqlstate)
    before, watch = await contents(world), watched(world)
    answers = await world.service.commit.run(commands)
    assert {type(answer) for answer in answers} == {UnavailableError}
    assert not any("words of its own" in str(answer) for answer in answers)
    assert watch.statements.count("cancel") == 1
    assert not changed(before, await contents(world))


# who cannot even connect


@contextmanager
def nobody_listens(url: str) -> Iterator[str]:
    where = urlsplit(url)
    yield where._replace(netloc="127.0.0.1:1").geturl()


@contextmanager
def no_such_database(url: str) -> Iterator[str]:
    yield urlsplit(url)._replace(path="/no_such_database").geturl()


@contextmanager
def no_such_user(url: str) -> Iterator[str]:
    where = urlsplit(url)
    yield where._replace(netloc=f"no_such_user@{where.netloc.rpartition('@')[2]}").geturl()


@contextmanager
def a_user_with_too_many_connections(url: str) -> Iterator[str]:
    role, where = f"crowded_{secrets.token_hex(4)}", urlsplit(url)
    administer(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
    yield where._replace(netloc=f"{role}@{where.netloc.rpartition('@')[2]}").geturl()
    administer(f"DROP ROLE {role}")


@contextmanager
def a_server_that_takes_no_writes(url: str) -> Iterator[str]:
    name = urlsplit(url).path.removeprefix("/")
    administer(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    yield url
    administer(f"ALTER DATABASE {name} RESET default_transaction_read_only")


CANNOT_CONNECT = [
    nobody_listens,
    no_such_database,
    no_such_user,
    a_user_with_too_many_connections,
    a_server_that_takes_no_writes,
]


@pytest.mark.parametrize("reason", CANNOT_CONNECT)
async def test_whoever_cannot_connect_does_not_start_and_says_why_in_a_sentence(reason):
    with a_database() as url, reason(url) as address:
        with pytest.raises(SchemaError, match=r"cannot be reached: .+"):
            await check_schema(PostgresAddress(url=address))
        with pytest.raises(SchemaError):
            await open_database(read_settings(database_url=address))


@contextmanager
def under_another_name(world: World) -> Iterator[None]:
    name = database_of(world)
    cut_off(name)
    administer(f"ALTER DATABASE {name} RENAME TO {name}_elsewhere")
    yield
    administer(f"ALTER DATABASE {name}_elsewhere RENAME TO {name}")


@contextmanager
def taking_no_writes(world: World) -> Iterator[None]:
    """As a server that has become a standby."""
    name = database_of(world)
    administer(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    cut_off(name)
    yield
    administer(f"ALTER DATABASE {name} RESET default_transaction_read_only")


@pytest.mark.parametrize("away", [without_its_database, under_another_name, taking_no_writes])
async def test_a_node_that_can_connect_no_more_says_503_everywhere_and_goes_on_when_it_can(postgres_world: World, away):
    world = postgres_world
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await world.database.cancellations.orders([order_id])
    with away(world):
        await asyncio.sleep(0.05)  # what was cut off is heard of before anything is asked: nothing is left open
        for _ in range(2):
            (answer,) = await world.service.commit.run([world.command(me, order_id)])
            assert isinstance(answer, UnavailableError)
            with pytest.raises(UnavailableError):
                await world.rows("orders")
            with pytest.raises(UnavailableError):
                await world.service_order(me)
            assert (await world.http.get("/readyz")).status_code == 503
    assert isinstance(await world.cancel(me, order_id), Cancelled)
    # A question that was still being answered is not asked twice, so the first answer may be an old one.
    assert 200 in [(await world.http.get("/readyz")).status_code for _ in range(2)]
    assert len(await world.rows("cancellations")) == 1


# secrets

ONE, OTHER = "S3cr3tPart", "Oth3rPart"
ADDRESSES = [
    f"postgresql://user:{ONE}{between}{OTHER}@127.0.0.1:1/shop"
    for between in ("", "/", "?", "#", "@", ":", "%", "[", "]", "\\", " ", "%2F")
] + [
    f"postgresql://127.0.0.1:1/shop?user=user&password={ONE}{OTHER}",
    f"postgresql://127.0.0.1:1/shop?user=user&password={ONE}@{OTHER}",
    f"postgresql://user:{ONE}{OTHER}@127.0.0.1:99999/shop",
    f"postgresql://user:{ONE}{OTHER}@127.0.0.1:port/shop",
    f"postgresql://user:{ONE}{OTHER}@127.0.0.1:1,127.0.0.1:2/shop",
    f"postgresql://user:{ONE}{OTHER}@127.0.0.1:1/shop?sslmode=none",
]


@pytest.mark.parametrize("url", ADDRESSES)
async def test_no_part_of_the_password_is_told_however_the_address_is_written(url: str):
    address, settings = PostgresAddress(url=url), read_settings(database_url=url)
    with structlog.testing.capture_logs() as logged, pytest.raises(SchemaError) as raised:
        await open_database(settings)
    told = [str(address), repr(address), repr(settings), str(settings), str(settings.model_dump()), str(logged)]
    told += [str(raised.value), "".join(traceback.format_exception(raised.value))]
    for said in told:
        assert ONE not in said
        assert OTHER not in said


async def test_a_running_node_tells_nobody_the_password_whatever_goes_wrong(tmp_path: Path):
    with a_database() as url:
        where = urlsplit(url)
        user = where.username or "postgres"
        address = where._replace(netloc=f"{user}:{where.password or ONE}@{where.hostname}:{where.port}").geturl()
        async with a_world(tmp_path, database_url=address) as world:
            me = await world.connect_client()
            order_id = await world.service_order(me)
            with structlog.testing.capture_logs() as logged, without_its_database(world):
                (answer,) = await world.service.commit.run([world.command(me, order_id)])
                ready = await world.http.get("/readyz")
                with pytest.raises(CountermandError) as raised:
                    await world.service_order(me)
    assert logged
    for said in (str(logged), str(answer), ready.text, "".join(traceback.format_exception(raised.value))):
        assert (where.password or ONE) not in said


async def through_the_query_language(world: World, *statements: str) -> None:
    async with world.database.store.transaction() as tx:
        for statement in statements:
            await tx.run(text(statement))


def database_of(world: World) -> str:
    url = world.settings.database_url
    assert url is not None
    return urlsplit(url.get_secret_value()).path.removeprefix("/")


def cut_off(database: str) -> None:
    administer(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'")


async def keep(world: World, client_id: int, key: str) -> None:
    async with world.database.store.transaction() as tx:
        await tx.keep_answer(
            client_id,
            IdempotencyKey(key=key, fingerprints=Fingerprints(request="f", message="f")),
            b"{}",
            world.clock(),
        )


async def ended(other: Connection) -> None:
    """Whoever sleeps in this database is ended by an administrator."""
    for backend in await until_waiting(other, event="PgSleep"):
        await other.execute("SELECT pg_terminate_backend($1)", backend)
