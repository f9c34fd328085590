"""The markers choose the tests that they name, and the tests of the domain load the domain alone."""

import json
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.makefile import ROOT

PURE = "tests/domain/test_money.py"
DATABASE = "tests/actions/cancelling/test_cancel_orders.py"
BROWSER = "tests/journeys/test_pages_in_browser.py"
NOTHING = "tests/architecture/test_locks.py"  # it reads files
COLLECT = """
import json, sys, pytest

class Seen:
    def pytest_collection_finish(self, session):
        self.tests = {item.nodeid: [mark.name for mark in item.iter_markers()] for item in session.items}

seen = Seen()
code = pytest.main(["--collect-only", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[seen])
print(json.dumps([code, seen.tests, sorted(sys.modules)]))
"""
OURS = {"pure", "database", "postgres", "process", "browser"}


class Collected(NamedTuple):
    """What a pytest has collected: the tests with their markers, and the modules that it has loaded for them."""

    markers: dict[str, set[str]]
    modules: set[str]


@pytest.fixture(scope="module")
def mixed() -> Collected:
    return collected(PURE, DATABASE, BROWSER, NOTHING)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (PURE, [{"pure"}]),
        (DATABASE, [{"database"}, {"database", "postgres"}]),
        (BROWSER, [{"process", "browser"}]),
        (NOTHING, [set()]),
    ],
)
def test_the_tests_of_a_file_carry_the_markers_of_what_they_use_and_no_others(
    mixed: Collected, file: str, expected: list[set[str]]
):
    carried = [found & OURS for test, found in mixed.markers.items() if test.startswith(file)]

    assert all(markers in carried for markers in expected)
    assert all(markers in expected for markers in carried)


def test_the_same_test_carries_the_marker_of_postgresql_only_where_it_runs_on_it(mixed: Collected):
    tests = {test: "postgres" in found for test, found in mixed.markers.items() if test.startswith(DATABASE)}

    assert {test for test, is_marked in tests.items() if is_marked} == {test for test in tests if "postgres" in test}


@pytest.mark.parametrize(("chosen", "is_chosen"), [("pure", True), ("not pure", False), ("database", False)])
def test_a_marker_that_is_derived_chooses_tests(chosen: str, *, is_chosen: bool):
    code = pytest.ExitCode.OK if is_chosen else pytest.ExitCode.NO_TESTS_COLLECTED

    assert bool(collected("-m", chosen, PURE, ends_with=code).markers) is is_chosen


def test_the_tests_of_the_domain_load_the_domain_and_nothing_that_countermand_runs_on_but_its_structs():
    modules = collected("tests/domain").modules

    ours = {name for name in modules if name.startswith("countermand.")}
    assert "countermand.domain.orders.order" in ours
    assert {name for name in ours if name.split(".")[1] != "domain"} == set()
    assert needed_among(modules) <= {"msgspec"}  # an order's document is one of its structs


def test_the_tests_of_the_actions_load_what_countermand_runs_on(mixed: Collected):
    assert {"sqlalchemy", "litestar", "asyncpg"} <= needed_among(mixed.modules)


def collected(*arguments: str, ends_with: pytest.ExitCode = pytest.ExitCode.OK) -> Collected:
    command = [sys.executable, "-c", COLLECT, *arguments]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    code, tests, modules = json.loads(said.splitlines()[-1])
    assert code == ends_with, said
    return Collected({test: set(found) for test, found in tests.items()}, set(modules))


def needed_among(modules: set[str]) -> set[str]:
    """The packages that Countermand names as its requirements, of those that the modules belong to."""
    needed = {canonicalize_name(Requirement(line).name) for line in requires("countermand") or []}
    of = packages_distributions()
    return {canonicalize_name(name) for module in modules for name in of.get(module, [])} & needed
