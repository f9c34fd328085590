import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "countermand"
DOMAIN = sorted((SOURCE / "domain").rglob("*.py"))
ACTIONS = sorted((SOURCE / "actions").rglob("*.py"))

# What the domain needs: of the standard library, and msgspec for the structs that a document is made of. No clock to
# read, no input or output, no randomness is among it.
PURE = {
    "collections",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "hashlib",
    "json",
    "msgspec",
    "re",
    "types",
    "typing",
}
# Frameworks, drivers, network, environment: the actions name what they need as protocols in `ports.py` instead. msgspec
# is a library of values; no action encodes or decodes by it.
OUTSIDE = {
    "aiosqlite",
    "alembic",
    "asyncpg",
    "httpx",
    "joserfc",
    "litestar",
    "os",
    "pydantic",
    "pydantic_settings",
    "socket",
    "sqlalchemy",
    "sqlite3",
    "typer",
    "uvicorn",
}
CLOCKS = {"now", "utcnow", "today", "time"}


def test_imports_go_downward_only():
    ran = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    kept = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert f"{len(kept)} kept, 0 broken" in ran.stdout


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_domain_imports_a_pure_part_of_the_standard_library_msgspec_and_itself(path):
    names = imported(path)

    assert PURE - sys.stdlib_module_names == {"msgspec"}
    assert [
        name for name in names if name.split(".")[0] not in PURE and not name.startswith("countermand.domain")
    ] == []


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_domain_never_asks_what_time_it_is(path):
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]

    assert [call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr in CLOCKS] == []


@pytest.mark.parametrize("path", ACTIONS, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_actions_know_no_framework_no_driver_and_no_network(path):
    names = imported(path)

    assert [name for name in names if name.split(".")[0] in OUTSIDE] == []
    assert [
        name for name in names if name.startswith("countermand.") and name.split(".")[1] not in {"actions", "domain"}
    ] == []


@pytest.mark.parametrize("path", [*DOMAIN, *ACTIONS], ids=lambda path: str(path.relative_to(SOURCE)))
def test_neither_the_domain_nor_the_actions_encode_or_decode(path):
    tree = ast.parse(path.read_text())
    taken = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "msgspec"
        for alias in node.names
    }

    assert "msgspec" not in {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    assert taken <= {"UNSET", "Meta", "Struct", "UnsetType", "structs"}


def imported(path: Path) -> set[str]:
    """The modules a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this can be read off"
            names.add(node.module)
    return names
