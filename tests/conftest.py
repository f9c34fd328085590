"""What every test needs, and no more: the tests of the domain load nothing but the domain."""

import gc

import pytest
import pytest_asyncio
from hypothesis import settings

from support import markers
from support.browser_choice import NoBrowserError, choose
from support.needs import pytest_configure, pytest_itemcollected, pytest_runtest_setup, pytest_terminal_summary

__all__ = ["pytest_configure", "pytest_itemcollected", "pytest_runtest_setup", "pytest_terminal_summary"]

# How long a case takes is nobody's business here: no test asserts a time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_report_header() -> str:
    try:
        return f"browser: {choose().origin}"
    except NoBrowserError as error:
        return f"browser: none. {error}"


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Load the fixtures of services and processes with the first file that is not a test of the domain."""
    if isinstance(collector, pytest.Module) and not markers.is_pure(collector.path):
        collector.config.pluginmanager.import_plugin("support.fixtures")


@pytest.hookimpl(tryfirst=True)  # before `-m` leaves out tests by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Journeys first: they wait for processes most of the time, in which other tests run beside them."""
    items.sort(key=lambda item: "journeys" not in item.path.parts)
    for item in items:
        for name in markers.of(item):
            item.add_marker(name)
        # What the tests of a file share runs on one loop.
        if pytest_asyncio.is_async_test(item) and "services_of_the_file" in item.fixturenames:
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


def pytest_collection_finish() -> None:
    """All that is there now stays to the end: no collection of garbage needs to look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, *gc.get_threshold()[1:])
