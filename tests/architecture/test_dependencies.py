"""What the source imports, what the package declares and what is pinned are one and the same list."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
OURS = {"countermand"} | {path.stem for folder in ("tests", "bench") for path in (ROOT / folder).iterdir()}
NOT_FOR_USERS = {"flit-core"}  # builds the package; pinned with the rest so that nothing is fetched unpinned
# pyproject.toml says beside a requirement that no line of ours imports why it is there.
REASON = re.compile(r'^  "(?P<requirement>[^"]+)",  # not imported: (?P<why>.{10,})$', re.MULTILINE)


def owners() -> dict[str, str]:
    """Which distribution brings a module: by the module's file, since a namespace has many owners."""
    return {
        str(file).removesuffix(file.suffix).removesuffix("/__init__").partition(".")[0]: name
        for distribution in distributions()
        if (name := canonicalize_name(distribution.metadata["Name"])) != "countermand"
        for file in distribution.files or ()
        if file.suffix in {".py", ".so", ".pyd"}
    }


def imported(folder: str) -> set[str]:
    """The modules of others that a folder's files import; `from a import b` may mean the module `a.b`."""
    names: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        if not {"node_modules", "clients"} & set(path.parts[:-1]):  # clients run in an environment of their own
            names |= set(modules_in(ast.parse(path.read_text(encoding="utf-8"))))
    return {name for name in names if name.split(".")[0] not in OURS | sys.stdlib_module_names}


def modules_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def needed(folder: str) -> set[str]:
    """The distributions that a folder's imports need."""
    known = owners()
    found = {name: next(filter(None, map(known.get, prefixes(name))), None) for name in imported(folder)}
    assert [name for name, owner in found.items() if owner is None] == []
    return {owner for owner in found.values() if owner is not None}


def prefixes(module: str) -> list[str]:
    """`a`, `a/b`, `a/b/c`: the first that is a module says whose it is."""
    parts = module.split(".")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def declared() -> dict[str, Requirement]:
    return by_name(tomllib.loads(PYPROJECT)["project"]["dependencies"])


def by_name(lines: list[str]) -> dict[str, Requirement]:
    requirements = [Requirement(line) for line in lines]
    found = {canonicalize_name(one.name): one for one in requirements}
    assert len(found) == len(requirements)
    return found


def requirements_in(name: str) -> dict[str, Requirement]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return by_name([line for line in lines if line and not line.startswith(("#", "-", " "))])


def pinned(name: str) -> dict[str, Requirement]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return by_name([line.removesuffix(" \\") for line in text.splitlines() if re.match(r"[a-z]", line)])


def test_whatever_the_source_imports_is_declared():
    assert needed("src") - declared().keys() == set()


def test_whatever_is_declared_is_imported_or_says_why_it_is_not():
    reasons = by_name([found["requirement"] for found in REASON.finditer(PYPROJECT)])

    assert declared().keys() - needed("src") == reasons.keys()


def test_what_is_declared_is_what_gets_pinned():
    listed = requirements_in("run.in")

    assert listed.keys() >= NOT_FOR_USERS
    assert {name: (one.extras, str(one.marker)) for name, one in listed.items() if name not in NOT_FOR_USERS} == {
        name: (one.extras, str(one.marker)) for name, one in declared().items()
    }


def test_every_pinned_version_is_one_that_the_package_allows():
    versions = {name: one.specifier for name, one in pinned("run.txt").items()}

    assert declared().keys() <= versions.keys()
    assert [
        name
        for name, one in declared().items()
        if not one.specifier.contains(next(iter(versions[name])).version, prereleases=True)
    ] == []


@pytest.mark.parametrize("folder", ["tests", "bench", "docs"])
def test_whatever_the_checks_import_is_in_the_list_of_what_they_need(folder: str):
    assert needed(folder) - requirements_in("run.in").keys() - requirements_in("test.in").keys() == set()


def test_the_tests_and_the_package_are_pinned_to_the_same_versions():
    tests = {name: str(one) for name, one in pinned("test.txt").items()}

    assert {name: str(one) for name, one in pinned("run.txt").items() if tests.get(name) != str(one)} == {}
