from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.processes import Demo, a_demo
from support.world import World, a_world


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A whole service on a new database, with a clock the test sets."""
    async with a_world(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(params=["front", "framework"])
async def both_worlds(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The same twice: the cancel paths through the plain front, and through the framework's routes alone."""
    async with a_world(tmp_path, with_front=request.param == "front") as made:
        yield made


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """`countermand demo`, as a process of its own over real HTTP."""
    with a_demo(tmp_path / "demo") as running:
        yield running
