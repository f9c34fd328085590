"""The recipe of docs/operations.md copies a whole database from SQLite to PostgreSQL."""

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from support.pages import ROOT, blocks
from support.postgres import a_database
from support.processes import Demo, finished

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "operations.md"


def recipe() -> str:
    (found,) = [one.text for one in blocks(PAGE) if one.text.startswith('"""move.py')]
    return found


def test_every_table_is_copied_and_what_is_added_afterwards_gets_a_new_number(demo: Demo, tmp_path: Path):
    on_sqlite = {"COUNTERMAND_DATABASE_PATH": str(demo.database)}
    key = {
        "COUNTERMAND_WEBHOOK_SECRET_KEY_FILE": str(demo.folder / "webhook.key"),
        "COUNTERMAND_WEBHOOK_ALLOW_LOOPBACK": "true",
    }
    added = ran("endpoint", "add", "http://127.0.0.1:9/", environment=on_sqlite | key)
    demo.stop()
    (tmp_path / "move.py").write_text(recipe())
    with a_database() as url:
        command = [sys.executable, tmp_path / "move.py", demo.database, url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        counts = dict(line.split(": ") for line in done.stdout.splitlines())
        assert (counts["endpoints"], counts["delivery_head"], counts["event_feed_head"]) == ("1", "1", "1")
        assert int(counts["orders"]) > 50
        on_postgres = {"COUNTERMAND_DATABASE_URL": url}
        assert added.split()[1].rstrip(",") in ran("endpoint", "list", "--json", environment=on_postgres)
        ran("endpoint", "add", "http://127.0.0.1:9/", environment=on_postgres | key)
        ran("client", "add", "--contract", "manage", "--name", "new", environment=on_postgres)
        assert asyncio.run(numbers(url)) == [1, 2]


async def numbers(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [row["number"] for row in await connection.fetch("SELECT number FROM endpoints ORDER BY number")]
    finally:
        await connection.close()


def ran(*arguments: str, environment: dict[str, str]) -> str:
    code, out, err = finished(*arguments, environment=environment)
    assert code == 0, err
    return out
