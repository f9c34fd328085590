"""A file of the database that is taken away or replaced under a running server: /readyz says so."""

from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from support.world import World


def take_away(file: Path, *, replaced: bool) -> None:
    """Keep the file elsewhere, so that a new one is another to the file system."""
    content = file.read_bytes()
    file.rename(file.with_name("elsewhere"))
    if replaced:
        file.write_bytes(content)


def put_back(file: Path) -> None:
    file.with_name("elsewhere").replace(file)


async def readiness(world: World) -> httpx.Response:
    return await world.http.get("/readyz")


@pytest.mark.parametrize("how", ["taken away", "replaced"])
@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
async def test_a_server_whose_database_lost_a_file_says_that_it_is_not_ready(
    sqlite_world: World, ending: str, how: str
):
    world = sqlite_world
    await world.service_order(await world.connect_client())
    assert (await readiness(world)).status_code == 200
    file = Path(f"{world.settings.database_path}{ending}")
    take_away(file, replaced=how == "replaced")
    with capture_logs() as lines:
        answer = await readiness(world)
    assert (answer.status_code, answer.json()["reason"]) == (503, "the database cannot be used")
    assert str(file) in str(lines)
    put_back(file)
    assert (await readiness(world)).status_code == 200


async def test_a_server_that_only_read_so_far_misses_the_files_too(sqlite_world: World):
    assert (await readiness(sqlite_world)).status_code == 200
    take_away(Path(f"{sqlite_world.settings.database_path}-wal"), replaced=False)
    assert (await readiness(sqlite_world)).status_code == 503
