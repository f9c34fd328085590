"""SQLite on a file system that is really full, or read-only: one of its own, where a process may mount one.

What needs no rights is in tests/storage/sqlite/test_full_disk.py and runs everywhere. A file system cannot be made
read-only under a server that has files open for writing; what it would meet, a write that is not taken, is tested
there.
"""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

import pytest

from support.full_disks import on_a_small_file_system, seen_by, unsharing
from support.processes import STOP_LIMIT_S
from support.races import column
from support.serving import Served, environment_of, started
from support.ticket_shop import Shop, a_shop, check_conservation
from support.world import World, a_world

# Linux lets root mount, and mostly others, too, in a namespace of their own.
pytestmark = pytest.mark.skipif(unsharing() is None, reason="no process may mount here; test_full_disk.py ran instead")

SIZE = "2600k"
BALLAST = 400_000
NAME = "orders.sqlite3"


async def test_on_a_full_file_system_each_write_is_503_and_all_goes_on_once_there_is_room(sqlite_world: World):
    shop, product = await prepared(sqlite_world)
    folder, copy = sqlite_world.folder / "small", sqlite_world.folder / "copy"
    headers = sqlite_world.shopping_headers(shop.caller)
    with served(sqlite_world, folder) as node:
        async with node.client(headers=headers) as http:
            placed: list[str] = []
            while (answer := await http.post("/orders", json=shop.body({product: 3}))).status_code == 201:
                placed.append(answer.json()["_links"]["self"]["href"])
            assert (answer.status_code, answer.json()["type"]) == (503, "UNAVAILABLE")
            assert answer.headers["retry-after"] == "1"
            while (answer := await http.post("/consumers", json={"first_name": "Jo"})).status_code == 201:
                pass  # what is smaller than an order may still find room within the log
            assert (answer.status_code, answer.json()["type"]) == (503, "UNAVAILABLE")
            assert (await http.get("/orders")).status_code == 200
            assert (await http.get("/readyz")).status_code == 200
        # What is small may still find room within the log: it is done or not, and told so.
        first = await cancelled(node, headers, placed)
        assert 503 in first.values()
        assert set(first.values()) <= {200, 503}
        seen_by(node.process.pid, folder / "ballast").unlink()
        second = await cancelled(node, headers, placed)
        assert second == {uri: 200 if first[uri] == 503 else 409 for uri in placed}
        async with node.client(headers=headers) as http:
            assert (await http.post("/orders", json=shop.body({product: 3}))).status_code == 201
        copy.mkdir()
        for name in (NAME, f"{NAME}-wal"):
            shutil.copy(seen_by(node.process.pid, folder / name), copy / name)
        assert node.log.count("SQLITE_FULL") > 1
        assert "Traceback" not in node.log
    assert not any(folder.iterdir())  # the file system is gone with its process
    assert column(copy / NAME, "PRAGMA integrity_check") == ["ok"]
    async with a_world(copy, database_path=copy / NAME) as found:
        await check_conservation(found)
        states = [row["state"] for row in await found.rows("orders")]
    assert sorted(states) == ["cancelled"] * len(placed) + ["pending"]


@pytest.mark.parametrize("command", ["serve", "client add --contract shopping --name Another", "keys rotate"])
async def test_on_a_read_only_file_system_nothing_is_begun_and_a_sentence_says_so(sqlite_world: World, command: str):
    await prepared(sqlite_world)
    folder = sqlite_world.folder / "small"
    ours = [sys.executable, "-m", "countermand", *command.split()]
    done = await asyncio.to_thread(
        subprocess.run,
        on_a_small_file_system(folder, SIZE, *ours, read_only=True),
        env=environment(sqlite_world, folder) | {"COUNTERMAND_PORT": "0"},  # whatever else listens here
        capture_output=True,
        text=True,
        timeout=STOP_LIMIT_S,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith(f"countermand: the database {folder / NAME} cannot be opened: ")
    assert "takes no writes" in said
    assert "Traceback" not in done.stderr


async def prepared(world: World) -> tuple[Shop, str]:
    """A shop with a product in plenty, and the folder that the small file system is filled from."""
    now = datetime.now(UTC)
    shop = await a_shop(world)
    await shop.change_event(sale_starts_at=now - timedelta(days=1), sale_ends_at=now + timedelta(days=1))
    product = await shop.product(stock=100_000)
    (world.folder / "small").mkdir()
    seed = world.folder / "small.seed"
    seed.mkdir()
    (seed / "ballast").write_bytes(bytes(BALLAST))
    with closing(sqlite3.connect(world.settings.database_path)) as connection:
        connection.execute("VACUUM INTO ?", [str(seed / NAME)])
    return shop, product


def environment(world: World, folder: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERMAND_")}
    return ours | environment_of(world, database_path=folder / NAME)


@contextmanager
def served(world: World, folder: Path) -> Iterator[Served]:
    """A server whose database lies on a small file system of its own."""

    def start(port: str, log: TextIO) -> subprocess.Popen[str]:
        return subprocess.Popen(
            on_a_small_file_system(folder, SIZE, sys.executable, "-m", "countermand", "serve", "--port", port),
            env=environment(world, folder),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )

    with started(start, world.folder) as node:
        yield node


async def cancelled(node: Served, headers: dict[str, str], uris: list[str]) -> dict[str, int]:
    """Cancel all at once; gives each one's status."""
    async with node.client(headers=headers) as http:
        bodies = [{"order": uri, "reason": "x" * 100} for uri in uris]
        answers = await asyncio.gather(*(http.post("/ordercancellation/", json=body) for body in bodies))
    return {uri: answer.status_code for uri, answer in zip(uris, answers, strict=True)}
