import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

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
    "ipaddress",
    "json",
    "msgspec",
    "re",
    "types",
    "typing",
    "unicodedata",
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


def test_the_domain_imports_a_pure_part_of_the_standard_library_msgspec_and_itself():
    foreign = {
        inside(path): sorted(
            name for name in imported(path) if name.split(".")[0] not in PURE and not is_of(name, {"domain"})
        )
        for path in DOMAIN
    }

    assert len(DOMAIN) > 10
    assert PURE - sys.stdlib_module_names == {"msgspec"}
    assert {file: names for file, names in foreign.items() if names} == {}


def test_the_domain_never_asks_what_time_it_is():
    asked = {
        f"{inside(path)}:{call.lineno}: {call.func.attr}"
        for path in DOMAIN
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in CLOCKS
    }

    assert asked == set()


def test_the_actions_know_no_framework_no_driver_and_no_network():
    outside = {
        inside(path): sorted(
            name
            for name in imported(path)
            if name.split(".")[0] in OUTSIDE
            or (name.startswith("countermand.") and not is_of(name, {"actions", "domain"}))
        )
        for path in ACTIONS
    }

    assert len(ACTIONS) > 10
    assert {file: names for file, names in outside.items() if names} == {}


def test_neither_the_domain_nor_the_actions_encode_or_decode():
    """Of msgspec they take what describes a value, and nothing that reads or writes bytes."""
    described = {"msgspec", "msgspec.UNSET", "msgspec.Meta", "msgspec.Struct", "msgspec.UnsetType", "msgspec.structs"}
    taken = {inside(path): set(msgspec_names(path)) - described for path in [*DOMAIN, *ACTIONS]}

    assert {file: names for file, names in taken.items() if names} == {}


def msgspec_names(path: Path) -> Iterator[str]:
    """What a file imports of msgspec: the names that it takes, or `msgspec.*` for the module itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "msgspec":
            yield from (f"msgspec.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ("msgspec.*" for alias in node.names if alias.name == "msgspec")


def inside(path: Path) -> str:
    """A file's name within the source."""
    return path.relative_to(SOURCE).as_posix()


def is_of(name: str, layers: set[str]) -> bool:
    """Whether a module is of such a layer of ours."""
    package, _, rest = name.partition(".")
    return package == "countermand" and rest.split(".")[0] in layers


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
