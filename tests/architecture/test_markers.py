"""The markers choose the tests that they name, and the tests of the domain load the domain alone."""

import json
import subprocess
import sys
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.makefile import ROOT

PURE = "tests/domain/test_money.py"
DATABASE = "tests/actions/cancelling/test_cancel_orders.py"
BROWSER = "tests/journeys/test_pages_in_browser.py"
NOTHING = "tests/architecture/test_locks.py"  # it reads files
LOADED = """
import json, sys, pytest
code = pytest.main(["--collect-only", "-p", "no:cacheprovider", *sys.argv[1:]])
print(json.dumps([code, sorted(sys.modules)]))
"""


@pytest.mark.parametrize(
    ("chosen", "files"),
    [
        ("pure", {PURE}),
        ("database", {DATABASE}),
        ("process", {BROWSER}),
        ("browser", {BROWSER}),
        ("not pure and not database and not process", {NOTHING}),
    ],
)
def test_a_marker_chooses_the_tests_that_it_names_and_no_others(chosen: str, files: set[str]):
    assert {test.split("::")[0] for test in collected(chosen, PURE, DATABASE, BROWSER, NOTHING)} == files


def test_a_test_on_two_databases_carries_the_marker_of_postgresql_on_one_of_them():
    on_postgres, elsewhere = collected("postgres", DATABASE), collected("database and not postgres", DATABASE)

    assert on_postgres
    assert elsewhere == {test.replace("postgres", "sqlite") for test in on_postgres}


def test_the_tests_of_the_domain_load_the_domain_and_nothing_that_countermand_runs_on():
    modules = loaded_by("tests/domain")

    ours = {name for name in modules if name.startswith("countermand.")}
    assert "countermand.domain.orders.order" in ours
    assert {name for name in ours if name.split(".")[1] != "domain"} == set()
    assert needed_among(modules) == set()


def test_the_tests_of_the_actions_load_what_countermand_runs_on():
    assert {"sqlalchemy", "litestar", "asyncpg"} <= needed_among(loaded_by(DATABASE))


def collected(chosen: str, *files: str) -> set[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-p",
        "no:cacheprovider",
        "--verbosity=-1",
        "-m",
        chosen,
    ]
    said = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line for line in said.splitlines() if "::" in line}


def loaded_by(*files: str) -> set[str]:
    """The modules that pytest has loaded once it has collected the tests of these files."""
    command = [sys.executable, "-c", LOADED, *files]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    code, modules = json.loads(said.splitlines()[-1])
    assert code == pytest.ExitCode.OK, said
    return set(modules)


def needed_among(modules: set[str]) -> set[str]:
    """The packages that Countermand names as its requirements, of those that the modules belong to."""
    needed = {canonicalize_name(Requirement(line).name) for line in requires("countermand") or []}
    of = packages_distributions()
    return {canonicalize_name(name) for module in modules for name in of.get(module, [])} & needed
