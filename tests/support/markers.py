"""Derives the markers of a test from its folder, from its fixtures and from the imports of its file.

These markers are not set by hand, except `postgres` on a test that opens a PostgreSQL database by itself.
"""

from inspect import ismodule
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# A file that imports from these modules opens a database, starts a process, or drives a browser.
_IMPORTED = {
    "database": {"own_postgres", "support.own_tokens", "support.postgres", "support.schemas", "support.world"},
    "process": {
        "multiprocessing",
        "own_postgres",
        "subprocess",
        "support.browser",
        "support.crashes",
        "support.forked",
        "support.makefile",
        "support.nodes",
        "support.old_versions",
        "support.processes",
        "support.proxy",
        "support.races",
        "support.serving",
    },
    "browser": {"support.browser"},
}
# A test that asks for one of these fixtures does.
_FIXTURES = {
    "database": {
        "both_worlds",
        "postgres_world",
        "services_of_the_file",
        "sqlite_world",
        "world",
    },
    "process": {"demo", "shell"},
    "browser": set(),
}


def is_pure(path: Path) -> bool:
    """Whether a test lies in the domain's folder: an architecture test checks that it imports only the domain."""
    return path.is_relative_to(TESTS / "domain")


def of(item: pytest.Item) -> set[str]:
    """The markers of a test."""
    if is_pure(item.path):
        return {"pure"}
    asked = set(item.fixturenames)
    imported = {value.__name__ if ismodule(value) else value.__module__ for value in _values(item)}
    found = {name for name in _IMPORTED if imported & _IMPORTED[name] or asked & _FIXTURES[name]}
    if "journeys" in item.path.parts:
        found.add("process")
    if "postgres" in item.nodeid or any("postgres" in name for name in asked):
        found |= {"postgres", "database"}
    return found


def _values(item: pytest.Item) -> list[object]:
    return [value for value in vars(item.module).values() if ismodule(value) or hasattr(value, "__module__")]
