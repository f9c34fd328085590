"""The fixtures for all tests except those of the domain: a service, a process, a shell."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.processes import Demo, a_demo
from support.shared_world import services_of_the_file
from support.shell import shell
from support.world import World, a_world

__all__ = ["services_of_the_file", "shell"]


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A whole service on a new database, with a clock the test sets. Every test that asks for it runs on both."""
    async with a_world(tmp_path, request.param) as made:
        yield made


@pytest_asyncio.fixture
async def sqlite_world(tmp_path: Path) -> AsyncIterator[World]:
    """For what only a file can show."""
    async with a_world(tmp_path, "sqlite") as made:
        yield made


@pytest_asyncio.fixture
async def postgres_world(tmp_path: Path) -> AsyncIterator[World]:
    """For what only many nodes can show."""
    async with a_world(tmp_path, "postgres") as made:
        yield made


@pytest_asyncio.fixture(params=[("front", "sqlite"), ("framework", "postgres")], ids="-".join)
async def both_worlds(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The same twice: the cancel paths through the plain front, and through the framework's routes alone."""
    way, database = request.param
    async with a_world(tmp_path, database, with_front=way == "front") as made:
        yield made


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """`countermand demo`, as a process of its own over real HTTP."""
    with a_demo(tmp_path / "demo") as running:
        yield running
