"""The command line with a PostgreSQL database: what it says when all is well, and when the database is not."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from countermand.storage.schema import NEWEST_SCHEMA
from own_postgres import OwnPostgres
from support.command_line import Run, Said, assert_one_sentence, runner
from support.load import Ask, one
from support.nodes import PASSWORD, ROLE, Shop, a_node, a_shop, environment_of, url_at
from support.old_postgres import an_old_postgres
from support.orders import until
from support.processes import forked
from support.serving import free_port

COMMANDS = [["migrate"], ["client", "list"]]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with OwnPostgres({"fsync": "off"}) as running:
        yield running


@pytest.fixture(scope="module")
def shop(server: OwnPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with a_shop(server, tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.mark.usefixtures("shop")  # which made the role
def test_migrate_makes_the_schema_once_and_says_so_without_the_password(server: OwnPostgres, run: Run):
    server.sql(f"CREATE DATABASE fresh OWNER {ROLE}")
    url = url_at(server.port, "fresh")
    unready = run("client", "list", database_url=url)
    assert_one_sentence(unready, "no schema yet", "countermand migrate")
    first, again = (run("migrate", database_url=url + "?application_name=x") for _ in range(2))
    shown = f"postgresql://127.0.0.1:{server.port}/fresh"
    assert first == Said(0, f"{shown}: schema {NEWEST_SCHEMA} (was none)\n", first.err)
    assert again == Said(0, f"{shown}: schema {NEWEST_SCHEMA}, as it was\n", again.err)
    assert PASSWORD not in first.out + first.err + again.out + again.err + unready.err
    assert run("client", "list", database_url=url).code == 0
    server.drop_database("fresh")


def test_a_newer_schema_is_left_alone(server: OwnPostgres, run: Run, tmp_path: Path):
    with a_shop(server, tmp_path) as newer:
        database = newer.url.rpartition("/")[2]
        number = NEWEST_SCHEMA + 1
        noted = f"INSERT INTO schema_notes VALUES ({number}, {number})"
        server.sql(f"UPDATE alembic_version SET version_num = '{number:04}'; {noted}", database)
        assert_refused(run("migrate", database_url=newer.url), f"schema {number}", "newer")
        assert_refused(run("client", "list", database_url=newer.url), f"schema {number}", "start a newer Countermand")
        assert server.sql("SELECT version_num FROM alembic_version", database) == f"{number:04}"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_database_that_cannot_be_used_is_one_sentence_and_no_password(
    command: list[str], server: OwnPostgres, shop: Shop, run: Run
):
    database = shop.url.rpartition("/")[2]
    needs_password(server)
    server.sql("CREATE ROLE nobodys LOGIN")
    try:
        with OwnPostgres.standby_of(server) as standby, an_old_postgres() as old:
            said = {
                "nobody there": (url_at(free_port(), database), ["cannot be reached"]),
                "nobody at either": (url_at([free_port(), free_port()], database), ["cannot be reached"]),
                "wrong password": (shop.url.replace(PASSWORD, "wrong"), ["password authentication failed"]),
                "no such database": (url_at(server.port, "nowhere"), ["nowhere", "does not exist"]),
                "no such role": (shop.url.replace(ROLE, "stranger"), ["stranger"]),
                "too old": (url_at(old, database), ["PostgreSQL 14", "15 or newer"]),
                "a standby alone": (url_at(standby.port, database), ["cannot be reached", "takes no writes"]),
                "no TLS": (f"{shop.url}?sslmode=require", ["SSL"]),
            }
            for name, (url, words) in said.items():
                refused = run(*command, database_url=url)
                assert_refused(refused, *words)
                assert "wrong" not in refused.err.partition("cannot")[0], name
    finally:
        trusts(server)
        server.sql("DROP ROLE nobodys")


def test_migrate_by_a_role_that_may_not_make_tables_is_one_sentence(server: OwnPostgres, run: Run):
    server.sql("CREATE ROLE guest LOGIN")
    server.sql("CREATE DATABASE locked")
    try:
        assert_refused(run("migrate", database_url=f"postgresql://guest@127.0.0.1:{server.port}/locked"), "denied")
    finally:
        server.drop_database("locked")
        server.sql("DROP ROLE guest")


def test_a_node_that_starts_without_a_database_that_takes_writes_says_so_and_ends_for_whoever_restarts_it(
    server: OwnPostgres, shop: Shop
):
    with OwnPostgres.standby_of(server) as standby:
        database = shop.url.rpartition("/")[2]
        started = {
            words: forked("serve", "--port", "0", environment=environment_of(shop, database_url=url))
            for words, url in {
                ("cannot be reached", f"/{database}"): url_at(free_port(), database),
                ("cannot be reached", "takes no writes"): url_at(standby.port, database),
                ("nowhere", "does not exist"): url_at(server.port, "nowhere"),
            }.items()
        }
        for words, process in started.items():
            out, err = process.communicate(timeout=120)
            assert_refused(Said(process.returncode, out, err), *words)


async def test_a_secret_that_is_rotated_or_revoked_stops_at_both_running_nodes_by_itself(shop: Shop, run: Run):
    async def client(*arguments: str) -> Said:
        said = await asyncio.to_thread(run, "client", *arguments, database_url=shop.url)
        assert (said.code, PASSWORD in said.out + said.err) == (0, False), said
        return said

    def calls(said: Said) -> Ask:
        (token,) = re.findall(r"(?m)^token: (.*)$", said.out)
        headers = {"Authorization": f"Bearer {token}"}
        return Ask(node=0, about="", path="/manage/v1/orders/connect-1", headers=headers, body=None, method="GET")

    with ExitStack() as stack:
        nodes = [stack.enter_context(a_node(shop)) for _ in range(2)]  # at the default: 2 s
        added = await client("add", "--contract", "manage", "--name", "Operator")
        (id_,) = re.findall(r"client (\d+) ", added.out)
        for node in nodes:
            assert (await one(node.port, calls(added))).status == 404  # known, and there is no such order
        rotated = await client("rotate", id_, "--overlap-s", "0")
        for node in nodes:
            assert await until(node.port, calls(rotated), 404) == 404
            assert await until(node.port, calls(added), 401) == 401
        assert "Operator" in (await client("list")).out
        await client("revoke", id_)
        for node in nodes:
            assert await until(node.port, calls(rotated), 401) == 401


def assert_refused(said: Said, *names: str) -> None:
    """One sentence and exit code 2, and neither the password nor the driver's own words for itself."""
    assert_one_sentence(said, *names)
    for secret in (PASSWORD, "asyncpg", "sqlalche.me", "[SQL:"):
        assert secret not in said.err


def needs_password(server: OwnPostgres) -> None:
    rules(server, lambda text: f"host all {ROLE} 127.0.0.1/32 scram-sha-256\n{text}")


def trusts(server: OwnPostgres) -> None:
    rules(server, lambda text: text.partition("\n")[2])


def rules(server: OwnPostgres, change: Callable[[str], str]) -> None:
    file = server.data / "pg_hba.conf"
    file.write_text(change(file.read_text()))
    server.sql("SELECT pg_reload_conf()")
