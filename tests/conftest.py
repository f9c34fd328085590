import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

from support.needs import pytest_configure, pytest_itemcollected, pytest_runtest_setup, pytest_terminal_summary
from support.processes import Demo, a_demo
from support.shared_world import services_of_the_file
from support.world import World, a_world

__all__ = [
    "pytest_configure",
    "pytest_itemcollected",
    "pytest_runtest_setup",
    "pytest_terminal_summary",
    "services_of_the_file",
]

# How long a case takes is nobody's business here: no test asserts a time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Journeys first: they wait for processes most of the time, in which other tests run beside them."""
    items.sort(key=lambda item: "journeys" not in item.path.parts)
    for item in items:  # what the tests of a file share runs on one loop
        if pytest_asyncio.is_async_test(item) and services_of_the_file.__name__ in item.fixturenames:
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


def pytest_collection_finish() -> None:
    """All that is there now stays to the end: no collection of garbage needs to look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, *gc.get_threshold()[1:])


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
