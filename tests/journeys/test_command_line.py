"""The command line: what it says, whom it lets call on a running server, and how it refuses."""

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import typer
from sqlalchemy import update
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from countermand import __version__, cli
from countermand.bootstrap.clock import utc_now
from countermand.domain.client import Permission
from countermand.environment import PREFIX
from countermand.storage.schema import NEWEST_SCHEMA
from countermand.storage.tables.clients import clients
from support.command_line import Run, Said, assert_one_sentence, runner
from support.connect_calls import SERVICE_ORDER
from support.contracts import SHOPPING
from support.processes import countermand, forked
from support.serving import Served, a_server, database_of
from support.world import ISSUER, Caller, World, a_world

REFRESH_S = 0.2
ADMINISTER = Permission.ADMINISTER
SLACK_S = 120  # a busy machine may be slow; what counts is that it comes to be true without a restart


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


# what it says


def test_it_says_its_version_as_a_process_of_its_own():
    process = countermand("--version")
    assert process.communicate(timeout=120) == (f"countermand {__version__}\n", "")
    assert process.returncode == 0


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    def within(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield path, command
        for name, inner in getattr(command, "commands", {}).items():
            yield from within((*path, name), inner)

    yield from within((), typer.main.get_command(cli.command_line()))


COMMANDS = {" ".join(path) or "countermand": (path, command) for path, command in commands()}


def test_these_are_the_commands():
    assert {"serve", "demo", "migrate"} <= set(COMMANDS)
    assert {f"client {verb}" for verb in ("add", "list", "change", "rotate", "revoke", "restore")} <= set(COMMANDS)
    assert {f"keys {verb}" for verb in ("list", "rotate", "withdraw")} <= set(COMMANDS)


@pytest.mark.parametrize(("path", "command"), COMMANDS.values(), ids=COMMANDS)
def test_every_command_and_every_option_of_it_is_explained(path: tuple[str, ...], command: Any, run: Run):
    said = run(*path, "--help")
    assert (said.code, said.err) == (0, "")
    assert command.help
    for one in command.params:
        assert one.help, f"{path} {one.name}"
        assert re.search(rf"(?m)^  +({'|'.join(map(re.escape, one.opts))}|{one.name.upper()})\b", said.out), one.name
    for name, inner in getattr(command, "commands", {}).items():
        assert re.search(rf"(?m)^  {name} +\w", said.out)
        assert inner.help


@pytest.mark.parametrize(("path", "command"), COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_of_a_help_text_is_cut(
    path: tuple[str, ...], command: Any, columns: int, run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    said = run(*path, "--help").out
    assert "..." not in said.replace("[OPTIONS] COMMAND [ARGS]...", "")
    assert all(len(line) <= columns for line in said.splitlines())
    words = said.split()
    for inner in getattr(command, "commands", {}).values():
        first = re.split(r"(?<=\.)\s", " ".join(inner.help.split()))[0].split()
        assert any(words[at : at + len(first)] == first for at in range(len(words))), first


SHOWN_WITH = {"rich", "typer"}  # what a help text itself needs
SAYS_WHAT_IT_IMPORTS = """
import json, sys
from countermand.__main__ import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["countermand", *arguments]
    try:
        main()
    except SystemExit as end:
        code = end.code
    print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


def test_version_and_help_import_nothing_that_only_the_work_of_a_command_needs(tmp_path: Path):
    needed = {re.split(r"[^\w-]", one)[0] for one in requires("countermand") or ()} - SHOWN_WITH
    machinery = {
        module for module, packages in packages_distributions().items() if needed & {one.lower() for one in packages}
    }
    assert {"alembic", "asyncpg", "joserfc", "litestar", "msgspec", "opentelemetry"} <= machinery
    assert {"pydantic", "pydantic_settings", "sqlalchemy", "structlog", "uvicorn"} <= machinery
    helped = [(*path, "--help") for path, command in COMMANDS.values() if command.name != "bench"]
    runs = [("--version",), *helped, ("client", "list")]
    assert runs[1] == ("--help",)
    process = subprocess.run(
        [sys.executable, "-c", SAYS_WHAT_IT_IMPORTS, json.dumps(runs)],
        env={f"{PREFIX}DATABASE_PATH": str(tmp_path / "not-there.sqlite3")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    *light, works = [json.loads(line) for line in process.stderr.splitlines() if line.startswith("[")]
    of_typer = [set(), set(), *[{"pydantic"}] * len(light)]  # typer checks with it what stands before a command's name
    for arguments, (code, imported), allowed in zip(runs, light, of_typer, strict=False):
        assert (code, machinery & set(imported) - allowed) == (0, set()), arguments
    assert len(light) == len(runs) - 1
    assert works[0] == 2  # there is no database; to know, it had to import
    assert {"pydantic_settings", "sqlalchemy"} <= machinery & set(works[1])


# the database


def test_migrate_makes_a_database_once_and_leaves_a_newer_one_alone(run: Run, tmp_path: Path):
    path = tmp_path / "orders.sqlite3"
    first, again = (run("migrate", database_path=path) for _ in range(2))
    assert first == Said(0, f"{path}: schema {NEWEST_SCHEMA} (was none)\n", "")
    assert again == Said(0, f"{path}: schema {NEWEST_SCHEMA}, as it was\n", "")
    with closing(sqlite3.connect(path)) as connection:
        make_newer(connection)
        before = list(connection.iterdump())
        for command, advice in ((("migrate",), "newer"), (("client", "list"), "start a newer Countermand")):
            said = run(*command, database_path=path)
            assert_one_sentence(said, str(path), f"schema {NEWEST_SCHEMA + 1}", advice)
        assert list(connection.iterdump()) == before


def test_a_new_database_is_named_with_its_whole_path_and_made_in_a_folder_that_is_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    said = run("migrate", database_path="orders.sqlite3")
    assert said.out == f"{tmp_path / 'orders.sqlite3'}: schema {NEWEST_SCHEMA} (was none)\n"
    run("migrate", database_path="new/orders.sqlite3")
    assert [one.name for one in tmp_path.iterdir()] == ["orders.sqlite3"]


def test_a_variable_that_is_no_setting_is_told_with_the_nearest_name_and_one_of_kubernetes_is_not(
    run: Run, tmp_path: Path
):
    strange = {"databse_url": "postgresql://nobody:secret@nowhere/x", "xyzzy": "1", "test_browser": "/bin/true"}
    of_a_service = {"port": "tcp://10.0.0.1:8080", "canary_service_host": "10.0.0.1"}
    said = run("migrate", database_path=tmp_path / "orders.sqlite3", **strange, **of_a_service)
    assert said.code == 0
    assert said.err.splitlines() == [
        "countermand: COUNTERMAND_DATABSE_URL is no setting and was not read; did you mean COUNTERMAND_DATABASE_URL?",
        "countermand: COUNTERMAND_XYZZY is no setting and was not read",
    ]


# who may call


def make_newer(connection: sqlite3.Connection) -> None:
    """As a migration of a later version leaves it, with which this one cannot work."""
    newer = NEWEST_SCHEMA + 1
    connection.execute("UPDATE alembic_version SET version_num = ?", [f"{newer:04}"])
    connection.execute("INSERT INTO schema_notes (number, oldest_code) VALUES (?, ?)", [newer, newer])
    connection.commit()


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def made(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with a_world(tmp_path, request.param) as world:
        world.clock.now = utc_now()
        yield world


@pytest.fixture
def server(made: World) -> Iterator[Served]:
    with a_server(made, client_refresh_s=REFRESH_S) as running:
        yield running


async def test_a_shop_that_is_added_can_call_at_once_keeps_its_orders_when_rotated_and_is_gone_when_revoked(
    run: Run, made: World, server: Served
):
    async def client(*arguments: str) -> Said:
        return await asyncio.to_thread(run, "client", *arguments, **database_of(made))

    added = await client(
        "add", "--contract", "shopping", "--name", "The shop", "--permission", "read", "--permission", "cancel"
    )
    assert (added.code, added.err) == (0, "")
    key, secret = shown(added)
    (id_,) = re.findall(r"client (\d+) \(The shop\): cancel, read\n", added.out)
    shop = Caller((await made.database.clients.all())[-1], key, secret)
    kept, cancelled = await made.ticket_order(shop), await made.ticket_order(shop)

    async with server.client() as http:

        async def status(auth: tuple[str, str]) -> int:
            return (await http.get(f"/orders/{kept.order.uid}", auth=auth)).status_code

        assert await status((key, secret)) == 200
        assert await status((key, secret + "x")) == 401

        rotated = await client("rotate", id_)
        between = shown(rotated)
        assert (rotated.code, rotated.err) == (0, "")
        assert re.search(r"^The old secret works until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ\.$", rotated.out, re.MULTILINE)
        await until_true(lambda: status(between), 200)
        assert await status((key, secret)) == 200
        assert_one_sentence(await client("rotate", id_), "--keep-old", "--overlap-s 0", "was not rotated again")
        assert_one_sentence(await client("rotate", id_, "--keep-old", "--overlap-s", "5"), "--overlap-s")
        lost, between = between, shown(await client("rotate", id_, "--keep-old"))
        await until_true(lambda: status(lost), 401)
        assert [await status(one) for one in (between, (key, secret))] == [200, 200]
        rotated = await client("rotate", id_, "--overlap-s", "0")
        new = shown(rotated)
        assert "The old secret no longer works.\n" in rotated.out
        assert new[0] == key
        assert len({secret, between[1], new[1]}) == 3
        await until_true(lambda: status(new), 200)
        await until_true(lambda: status(between), 401)
        await until_true(lambda: status((key, secret)), 401)
        asked = {"order": made.uri(cancelled), "reason": "The buyer asked"}
        assert (await http.post("/ordercancellation/", json=asked, auth=new)).status_code == 200

        listed = await client("list")
        assert new[0] in listed.out
        assert not [one for one in (secret, between[1], new[1]) if one in listed.out]

        assert await client("revoke", id_) == Said(0, f"Revoked the shopping client {id_} (The shop)\n", "")
        await until_true(lambda: status(new), 401)
        asked["order"] = made.uri(kept)
        assert (await http.post("/ordercancellation/", json=asked, auth=new)).status_code == 401
    assert await made.rows("cancellations", kept.order.id) == []
    assert not [one for one in (secret, new[1]) if one in server.log]


async def test_an_operator_that_is_added_can_call_at_once_and_is_gone_when_rotated_or_revoked(
    run: Run, made: World, server: Served
):
    order_id = await made.service_order(await made.connect_client())

    async def client(*arguments: str) -> Said:
        return await asyncio.to_thread(run, "client", *arguments, **database_of(made))

    added = await client("add", "--contract", "manage", "--name", "Operator")
    (id_,) = re.findall(r"client (\d+) \(Operator\): cancel, read, record\n", added.out)
    token = shown(added)[0]
    async with server.client() as http:

        async def status(bearer: str) -> int:
            headers = {"Authorization": f"Bearer {bearer}"}
            return (await http.get(f"/manage/v1/orders/connect-{order_id}", headers=headers)).status_code

        assert await status(token) == 200
        new = shown(await client("rotate", id_, "--overlap-s", "0"))[0]
        await until_true(lambda: status(new), 200)
        await until_true(lambda: status(token), 401)
        assert (await client("revoke", id_)).code == 0
        await until_true(lambda: status(new), 401)
    assert token.partition(".")[2] not in (await client("list")).out


async def test_a_partner_that_is_added_can_call_with_its_issuers_tokens_until_it_is_revoked(
    run: Run, made: World, server: Served
):
    async def client(*arguments: str) -> Said:
        return await asyncio.to_thread(run, "client", *arguments, **database_of(made), connect_issuer=ISSUER)

    headers = {"Authorization": f"Bearer {made.token('portal-api')}", "X-API-VERSION": "7"}
    async with server.client(headers=headers) as http:

        async def create() -> int:
            return (await http.post("/api/connect/orders/create", json=SERVICE_ORDER)).status_code

        assert await create() == 401
        added = await client("add", "--contract", "connect", "--name", "Partner", "--client-id", "portal-api")
        assert (added.code, added.err) == (0, "")
        (id_,) = re.findall(r"client (\d+) \(Partner\): cancel, create, read\n", added.out)
        assert "secret" not in added.out
        await until_true(create, 201)
        (order,) = await made.rows("orders")
        assert order["client_id"] == int(id_)

        again = await client("add", "--contract", "connect", "--name", "Another", "--client-id", "portal-api")
        assert_one_sentence(again, "portal-api")
        assert_one_sentence(await client("rotate", id_), f"client {id_} has no secret here", ISSUER)
        assert (await client("revoke", id_)).code == 0
        await until_true(create, 401)
        cancel = await http.post("/api/connect/orders/cancel", json={"orderId": order["id"]})
        assert cancel.status_code == 401
    assert len(await made.rows("clients")) == 1
    assert await made.rows("cancellations") == []


async def test_where_buyers_are_led_back_to_is_given_changed_listed_and_taken_away(run: Run, made: World):
    async def client(*arguments: str) -> Said:
        return await asyncio.to_thread(run, "client", *arguments, **database_of(made))

    given = ("--redirect-url", "myapp://thanks", "--redirect-scheme", "MyApp", "--redirect-scheme", "other")
    added = await client("add", "--contract", "shopping", "--name", "The shop", *given)
    assert (added.code, added.err) == (0, "")
    (id_,) = re.findall(r"client (\d+) ", added.out)
    listed = (await client("list")).out
    assert [said in listed for said in ("myapp://thanks", "myapp other")] == [True, True]
    changed = await client("change", id_, "--redirect-url", "https://[::1]/thanks", "--no-redirect-schemes")
    assert (changed.code, changed.err) == (0, "")
    assert "redirect_url: https://[::1]/thanks\nredirect_schemes: none\n" in changed.out
    schemes_alone = await client("change", id_, "--redirect-scheme", "myapp")
    assert "redirect_url: https://[::1]/thanks\nredirect_schemes: myapp\n" in schemes_alone.out
    rows = await made.rows("clients")
    partner = await client("add", "--contract", "manage", "--name", "Operator")
    (other,) = re.findall(r"client (\d+) ", partner.out)
    for wrong, said in {
        (id_, "--redirect-scheme", "JavaScript"): ("--redirect-scheme", '"JavaScript"'),
        (id_, "--redirect-url", "javascript:alert(1)"): ("--redirect-url", '"javascript:alert(1)"'),
        (id_, "--redirect-url", "yourapp://x"): ("--redirect-url", '"yourapp://x"'),
        (id_, "--redirect-url", ""): ("--redirect-url",),
        (id_,): ("nothing to change",),
        (id_, "--redirect-url", "https://a.test", "--no-redirect-url"): ("exclude each other",),
        (other, "--redirect-url", "https://a.test"): ("payment page",),
        ("99", "--redirect-url", "https://a.test"): ("client 99",),
    }.items():
        assert_one_sentence(await client("change", *wrong), *said)
    assert (await made.rows("clients"))[: len(rows)] == rows
    assert "redirect_url: none\n" in (await client("change", id_, "--no-redirect-url")).out


async def test_the_list_shows_every_client_whole_however_narrow_the_page(run: Run, made: World):
    partner, shop = await made.connect_client("a-partner-with-a-long-name"), await made.shopping_client()
    await made.database.clients.revoke(shop.client.id, made.clock())
    said = await asyncio.to_thread(run, "client", "list", **database_of(made))
    assert (said.code, said.err) == (0, "")
    for whole in (ISSUER, partner.subject, shop.key, *SHOPPING.channel.split(), f"{made.clock():%Y-%m-%d %H:%M:%SZ}"):
        assert whole in said.out
    assert shop.secret not in said.out


async def test_the_list_as_json_is_what_the_api_answers(run: Run, made: World):
    partner, operator = await made.connect_client(), await made.manage_client(permissions=frozenset({ADMINISTER}))
    await made.database.clients.revoke(partner.client.id, made.clock())
    said = await asyncio.to_thread(run, "client", "list", "--json", **database_of(made))
    assert (said.code, said.err) == (0, "")
    answer = await made.http.get("/manage/v1/clients", headers=made.manage_headers(operator))
    assert json.loads(said.out) == answer.json()
    assert [one["revoked_at"] is None for one in answer.json()["clients"]] == [False, True]
    assert operator.secret not in said.out


async def test_each_client_command_prints_for_a_program_what_the_api_answers(run: Run, made: World, tmp_path: Path):
    async def client(*arguments: str) -> Any:
        said = await asyncio.to_thread(run, "client", *arguments, "--json", **database_of(made))
        assert (said.code, said.err) == (0, ""), said
        return json.loads(said.out)

    operator = await made.manage_client(permissions=frozenset({ADMINISTER}))

    async def of_the_api(id_: int) -> Any:
        answer = await made.http.get("/manage/v1/clients", headers=made.manage_headers(operator))
        return next(one for one in answer.json()["clients"] if one["id"] == id_)

    shop = await client("add", "--contract", "shopping", "--name", "Shop")
    id_ = shop["client"]["id"]
    assert shop["client"] == await of_the_api(id_)
    assert (shop["token"], shop["key"] == shop["client"]["key"], len(shop["secret"]) > 30) == (None, True, True)
    assert (await client("browser-token", str(id_)))["bearer_token"].count(".") == 2
    us = await client("add", "--contract", "manage", "--name", "Us")
    assert us["token"] == f"{us['key']}.{us['secret']}"
    changed = await client("change", str(id_), "--name", "The shop")
    assert (changed["name"], changed) == ("The shop", await of_the_api(id_))
    rotated = await client("rotate", str(id_))
    assert (rotated["key"], rotated["secret"] == shop["secret"]) == (shop["key"], False)
    assert rotated["client"]["previous_secret_until"] is not None
    assert (await client("revoke", str(id_)))["revoked_at"] is not None
    assert (await client("restore", str(id_)))["revoked_at"] is None
    files = [tmp_path / "first.pem", tmp_path / "second.pem"]
    partner = await client("add", "--contract", "connect", "--name", "Acme", "--private-key-file", str(files[0]))
    newer = await client("rotate", str(partner["client"]["id"]), "--private-key-file", str(files[1]))
    for one, file in zip((partner, newer), files, strict=True):
        assert (one["private_key_file"], one["secret"], one["key"]) == (str(file), None, None)
        assert one["client_id"] == one["client"]["identity"][1]
        assert one["token_url"].endswith("/token")
    assert partner["key_id"] != newer["key_id"]


async def test_the_list_shows_what_a_newer_version_wrote_as_it_is(run: Run, made: World):
    partner, shop = await made.connect_client(), await made.shopping_client()
    async with made.database.store.transaction() as tx:
        strange = {"permissions": '["read","teleport"]', "more_permissions": None}
        await tx.run(update(clients).where(clients.c.id == partner.client.id).values(strange))
        await tx.run(update(clients).where(clients.c.id == shop.client.id).values(door="fax"))
    said = await asyncio.to_thread(run, "client", "list", **database_of(made))
    assert (said.code, said.err) == (0, "")
    assert "read teleport" in said.out
    assert "fax" in said.out
    number = str(shop.client.id)
    for refused in (("rotate", number), ("browser-token", number)):
        said = await asyncio.to_thread(run, "client", *refused, **database_of(made))
        assert_one_sentence(said, number)
    said = await asyncio.to_thread(run, "client", "revoke", number, **database_of(made))
    assert (said.code, said.out[: len("Revoked the fax client")]) == (0, "Revoked the fax client")


def shown(said: Said) -> tuple[str, str]:
    """The key and the secret (or the token alone) that a command showed, and that they are shown once."""
    assert said.out.endswith("It is not shown again.\n")
    lines = dict(line.split(": ", 1) for line in said.out.splitlines() if re.match(r"(key|secret|token): ", line))
    return (lines["token"], "") if "token" in lines else (lines["key"], lines["secret"])


async def until_true(ask: Callable[[], Any], wanted: int) -> None:
    """A running server knows of a change after its refresh interval: nothing is restarted."""
    attempts = AsyncRetrying(
        wait=wait_fixed(REFRESH_S / 2),
        stop=stop_after_delay(REFRESH_S + SLACK_S),
        retry=retry_if_exception_type(AssertionError),
        reraise=True,
    )
    async for attempt in attempts:
        with attempt:
            assert await ask() == wanted


# how it refuses


def a_toml(text: str) -> Callable[[Path], list[str]]:
    def it(folder: Path) -> list[str]:
        (folder / "settings.toml").write_text(text)
        return ["migrate", "--settings", str(folder / "settings.toml")]

    return it


def plain(*arguments: str) -> Callable[[Path], list[str]]:
    return lambda _: list(arguments)


AN_ISSUER = {"connect_issuer": ISSUER, "connect_key_set": "certs.json"}
UNKNOWN_RULE = '{"connect": [{"name": "state_allows"}, {"name": "nothing_sent"}]}'
REFUSALS: dict[str, tuple[Callable[[Path], list[str]], dict[str, str], tuple[str, ...]]] = {
    "a rule nobody knows": (plain("migrate"), {"policies": UNKNOWN_RULE}, ("connect", "nothing_sent")),
    "a port in words": (plain("serve"), {"port": "soon"}, ("COUNTERMAND_PORT", "'soon'")),
    "a level nobody knows": (plain("serve"), {"log_level": "loud"}, ("COUNTERMAND_LOG_LEVEL", "'loud'")),
    "a refresh too slow": (plain("migrate"), {"client_refresh_s": "61"}, ("COUNTERMAND_CLIENT_REFRESH_S", "'61'")),
    "policies that are no JSON": (plain("migrate"), {"policies": "{"}, ("COUNTERMAND_POLICIES", "{")),
    "no settings file": (plain("serve", "--settings", "nowhere.toml"), {}, ("nowhere.toml",)),
    "no settings file, by variable": (plain("serve"), {"settings": "nowhere.toml"}, ("nowhere.toml",)),
    "broken TOML": (a_toml("port 8080"), {}, ("settings.toml", "not TOML", "line 1")),
    "TOML that is no text": (a_toml("host = '\x00'"), {}, ("settings.toml", "not TOML")),
    "a key nobody knows": (a_toml("porto = 8080"), {}, ("settings.toml", "porto", "did you mean port?")),
    "a key like no other": (a_toml("xyzzy = 8080"), {}, ("settings.toml", "xyzzy", "docs/settings.md")),
    "a folder that is not there": (
        plain("migrate"),
        {"database_path": "new/orders.sqlite3"},
        ("there is no folder ", "/new; make it first"),
    ),
    "a permission of another contract": (
        plain("client", "add", "--contract", "connect", "--name", "Partner", "--permission", "administer"),
        {},
        ("a connect client cannot have the permission administer; it can have create, read, cancel",),
    ),
    "a permission of the shopping contract alone": (
        plain("client", "add", "--contract", "manage", "--name", "Us", "--permission", "read_all"),
        {},
        ("a manage client", "read_all", "read, cancel, record, administer"),
    ),
    "no database to list": (plain("client", "list"), {}, ("no database at", "countermand migrate")),
    "a database in a file": (plain("migrate"), {"database_path": f"{__file__}/orders.sqlite3"}, (__file__,)),
    "a database that is none": (plain("migrate"), {"database_path": __file__}, (__file__, "not an SQLite database")),
    "two workers": (plain("serve", "--workers", "2"), {}, ("--workers 2", "only one process")),
    "a host nobody has": (plain("serve", "--host", "nowhere.invalid", "--port", "0"), AN_ISSUER, ("nowhere.invalid",)),
    "no client id": (
        plain("client", "add", "--contract", "connect", "--name", "Partner", "--issuer", ISSUER),
        {},
        ("--client-id",),
    ),
    "no issuer": (
        plain("client", "add", "--contract", "connect", "--name", "Partner", "--client-id", "portal-api"),
        {"connect_token_endpoint": "false"},
        ("--issuer", "COUNTERMAND_CONNECT_ISSUER"),
    ),
    "keys of nobody": (plain("migrate"), {"connect_key_set": "certs.json"}, ("COUNTERMAND_CONNECT_KEY_SET",)),
    "an issuer nobody can find": (plain("serve"), {"connect_issuer": "sso"}, ("COUNTERMAND_CONNECT_ISSUER", "'sso'")),
}


@pytest.mark.parametrize(("command", "environment", "names"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_done_is_said_in_one_sentence(
    command: Callable[[Path], list[str]],
    environment: dict[str, str],
    names: tuple[str, ...],
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(run(*command(tmp_path), **environment), *names)
    assert not list(tmp_path.glob("*.sqlite3"))


@pytest.mark.parametrize("number", [999, 2**31 - 1, 2**31, 2**63])
@pytest.mark.parametrize("verb", ["rotate", "revoke", "browser-token"])
async def test_a_client_that_is_not_there_is_named(verb: str, number: int, run: Run, world: World):
    caller = await world.shopping_client()
    said = await asyncio.to_thread(run, "client", verb, str(number), **database_of(world))
    assert_one_sentence(said, f"client {number}")
    assert await world.database.clients.by_key(caller.key) is not None
    (row,) = await world.rows("clients")
    assert row["revoked_at"] is None


@pytest.mark.parametrize(
    ("exists", "names"),
    [
        ("", ("no database at", "countermand migrate")),
        ("exists", (f"schema {NEWEST_SCHEMA + 1}", "start a newer Countermand")),
    ],
)
def test_a_database_that_cannot_be_served_is_one_sentence(
    exists: str, names: tuple[str, ...], run: Run, tmp_path: Path
):
    path = tmp_path / "orders.sqlite3"
    if exists:
        run("migrate", database_path=path)
        with closing(sqlite3.connect(path)) as connection:
            make_newer(connection)
    environment = {PREFIX + name.upper(): value for name, value in (AN_ISSUER | {"database_path": str(path)}).items()}
    process = forked("serve", "--port", "0", environment=environment)
    out, err = process.communicate(timeout=120)
    assert_one_sentence(Said(process.returncode, out, err), str(path), *names)


@pytest.mark.parametrize(
    "arguments",
    [
        ["client", "add", "--contract", "shopping", "--name", "Acme\r"],
        ["client", "add", "--contract", "connect", "--name", "Acme", "--client-id", "acme\r"],
        ["client", "add", "--contract", "connect", "--name", "Acme", "--issuer", "https://sso.example\r"],
        ["client", "add", "--contract", "connect", "--name", "Acme", "--public-key-file", "acme.pem\r"],
        ["client", "add", "--contract", "connect", "--name", "Acme", "--private-key-file", "acme.pem\r"],
        ["client", "list", "--settings", "settings.toml\r"],
        ["demo", "--data-dir", ".countermand\r"],
        ["serve", "--host", "127.0.0.1\r"],
        ["keys", "withdraw", "abc\r"],
        ["catalogue", "import", "catalogue.json\r"],
        ["calendar", "import", "slots.csv\r"],
    ],
    ids=" ".join,
)
def test_a_script_with_windows_line_ends_makes_no_name_file_or_client_that_ends_with_one(
    arguments: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    said = run(*arguments)
    assert (said.code, said.out) == (2, "")
    assert "must have no carriage return" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_tilde_that_no_shell_has_expanded_is_the_home(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    database = tmp_path / "orders.sqlite3"
    (tmp_path / "settings.toml").write_text('database_path = "~/orders.sqlite3"\n')
    assert run("migrate", "--settings=~/settings.toml").code == 0
    assert database.is_file()
    added = run(
        *("client", "add", "--contract", "connect", "--name", "Acme", "--private-key-file=~/acme.pem"),
        settings="~/settings.toml",
    )
    assert added.code == 0, added
    assert (tmp_path / "acme.pem").is_file()
