"""A person is exported and forgotten on the command line, beside a service that serves."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import update

from countermand.domain.staff import Role
from countermand.domain.staff_id import StaffId
from countermand.storage.tables.orders import order_details
from support.command_line import Run, Said, assert_one_sentence, runner
from support.database_contents import changed, contents
from support.serving import database_of, environment_of
from support.world import World, a_world

EMAIL = "ann@example.com"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def made(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with a_world(tmp_path, request.param) as world:
        yield world


async def test_a_person_is_exported_and_then_forgotten_if_that_is_said(run: Run, made: World):
    async def privacy(*arguments: str) -> Said:
        return await asyncio.to_thread(run, "privacy", *arguments, "--as", "kim", **database_of(made))

    await made.person("kim", Role.ADMIN)
    shop = await made.shopping_client()
    over, still_open = [(await made.ticket_order(shop)).order for _ in range(2)]
    async with made.database.store.transaction() as tx:
        consumer = json.dumps({"consumer": {"first_name": "Ann", "email": EMAIL}, "currency": "EUR"})
        await tx.run(update(order_details).values(details=consumer))
    await made.cancel(shop, over.id)

    exported = await privacy("export", "--email", EMAIL.upper())
    assert (exported.code, exported.err) == (0, "")
    entries = json.loads(exported.out)["entries"]
    assert {one["order_id"] for one in entries} == {f"shopping-{one.uid}" for one in (over, still_open)}
    assert entries[0]["data"] == [{"first_name": "Ann", "email": EMAIL}]

    assert await privacy("export", "--email", EMAIL, "--json") == exported
    failed = await privacy("export", "--email", "ann", "--json")
    assert (failed.code, json.loads(failed.out)["error"]["code"]) == (2, "invalid_field")

    before = await contents(made)
    planned = await privacy("forget", "--email", EMAIL)
    left = f"  orders: 1\nleft: shopping-{still_open.uid} (pending), because the order is open\n"
    assert planned.out == (
        f"1 texts would be forgotten\n  orders: 1\n1 texts would be left, because orders need them\n{left}"
        "Nothing was changed; give --no-dry-run to forget.\n"
    )
    assert changed(before, await contents(made)) == set()

    forgotten = await privacy("forget", "--email", EMAIL, "--no-dry-run")
    assert forgotten.out == (
        f"1 texts were forgotten\n  orders: 1\n1 texts were left, because orders need them\n{left}"
    )
    every = await privacy("forget", "--email", EMAIL, "--no-dry-run", "--even-open", "--json")
    assert json.loads(every.out)["forgotten"] == [{"place": "orders", "number": 1}]
    assert EMAIL not in str(await contents(made))
    assert json.loads((await privacy("export", "--email", EMAIL)).out) == {"entries": []}
    records = await made.rows("privacy_requests")
    assert sorted(row["kind"] for row in records) == ["export"] * 3 + ["forget"] * 2, "and no dry run"
    assert {(row["client_id"], row["staff_id"], row["acting_as"]) for row in records} == {(0, "kim", None)}
    assert all(row["finished_at"] is not None for row in records)


@pytest.mark.slow
async def test_a_forgetting_that_is_killed_in_the_middle_is_finished_by_the_next(run: Run, made: World):
    await made.person("kim", Role.ADMIN)
    shop, product = await made.shopping_client(), await made.product(stock=1000)
    for _ in range(100):
        await made.ticket_order(shop, product=product, quantity=1)
    async with made.database.store.transaction() as tx:
        consumer = json.dumps({"consumer": {"first_name": "Ann", "email": EMAIL}, "currency": "EUR"})
        await tx.run(update(order_details).values(details=consumer))
    forget = ("privacy", "forget", "--email", EMAIL, "--as", "kim", "--no-dry-run", "--even-open")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "countermand", *forget), env=environment_of(made), stdout=asyncio.subprocess.PIPE
    )
    while await with_ann(made) == 100:  # noqa: ASYNC110 - the process tells nobody
        await asyncio.sleep(0.01)
    process.kill()
    assert await process.communicate() == (b"", None)
    assert 0 < await with_ann(made) < 100
    again = await asyncio.to_thread(run, *forget, **database_of(made))
    assert (again.code, again.err) == (0, "")
    assert EMAIL not in str(await contents(made))
    finished = [row["finished_at"] is not None for row in await made.rows("privacy_requests")]
    assert sorted(finished) == [False, True]


async def with_ann(world: World) -> int:
    """How many orders have the address."""
    return sum(EMAIL in row["details"] for row in await world.rows("order_details"))


async def test_what_is_no_address_is_refused(run: Run, made: World):
    for command in ("export", "forget"):
        said = await asyncio.to_thread(run, "privacy", command, "--email", "ann", "--as", "kim", **database_of(made))
        assert_one_sentence(said, "--email", '"ann"')
        long = ("--email", f"{'a' * 243}@example.com")  # a character more than the API takes
        said = await asyncio.to_thread(run, "privacy", command, *long, "--as", "kim", **database_of(made))
        assert_one_sentence(said, "--email", "at most 254 characters")
    assert await made.rows("privacy_requests") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--as", "lee"], "lee does not have the permission forget"),
        (["--as", "gone"], "gone is disabled since"),
        (["--as", "nobody"], "nobody"),
        (["--as", "Not An Id"], "--as must be"),
        ([], "--as"),
    ],
)
async def test_nobody_exports_or_forgets_without_the_name_of_somebody_who_may(
    run: Run, made: World, given: list[str], said: str
):
    await made.person("lee", *(frozenset(Role) - {Role.ADMIN}))
    await made.person("gone", Role.ADMIN)
    await made.database.staff.disable(StaffId("gone"), made.clock())
    before = await contents(made)
    for command in (["export"], ["forget"], ["forget", "--no-dry-run"]):
        answer = await asyncio.to_thread(run, "privacy", *command, "--email", EMAIL, *given, **database_of(made))
        assert answer.code != 0
        assert (answer.out, said in answer.err) == ("", True)
    assert changed(before, await contents(made)) == set()


async def test_what_is_forgotten_leaves_the_log_of_sqlite_at_once_and_its_file_with_vacuum(run: Run, tmp_path: Path):
    async with a_world(tmp_path) as made:
        await made.person("kim", Role.ADMIN)
        partner = await made.connect_client()
        for _ in range(300):  # so that pages of the database are split and freed
            order = await made.service_order(partner, appointment_in=timedelta(hours=1))
            await made.cancel(partner, order, reason=f"{EMAIL} asked: " + "so " * 100)
        path = made.settings.database_path
        log = path.with_name(f"{path.name}-wal")
        assert EMAIL.encode() in log.read_bytes()
        forget = ("privacy", "forget", "--email", EMAIL, "--as", "kim", "--no-dry-run", "--even-open")
        said = await asyncio.to_thread(run, *forget, **database_of(made))
        assert (said.code, said.err) == (0, "")
        assert EMAIL.encode() not in log.read_bytes()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert EMAIL.encode() not in log.read_bytes() + path.read_bytes()
