"""Is `Any`, which switches mypy off, only where something comes in that has no type yet?"""

import ast
from pathlib import Path
from typing import Final

SOURCE = Path(__file__).parents[2] / "src" / "countermand"
CAP: Final = 60
DRIVER: Final = "the driver's keyword arguments, each of a type of its own"
DRIVERS_OWN: Final = "a connection of the driver, which has no types for it"
FRAMEWORK: Final = "the framework's own generic, with parameters that are not used"
ROWS: Final = "rows are read here: a column has the type of its table"
JSON: Final = "JSON that was just decoded is read here"
DEMO: Final = "what the demo writes to demo.json, which only people read"
ALLOWED: Final = {
    "identity/public_keys.py": (1, JSON),
    "contracts/manage/catalogue_files.py": (1, "a row of a spreadsheet becomes JSON values here"),
    "demo/run.py": (1, DEMO),
    "demo/sample_catalogue.py": (2, "the arguments of a product, each of a type of its own"),
    "demo/welcome.py": (2, DEMO),
    "domain/cancelling/policy.py": (2, "a stored policy's JSON is read here"),
    "domain/ticketing/catalogue.py": (2, "JSON that is stored and shown, and that no rule looks at"),
    "identity/browser_tokens.py": (1, JSON),
    "identity/key_sets.py": (1, JSON),
    "settings.py": (2, "settings before pydantic checks them, and pydantic's errors"),
    "storage/driver.py": (2, "a coroutine's own generic"),
    "storage/postgres/address_words.py": (2, DRIVER),
    "storage/postgres/cancellations.py": (1, DRIVER),
    "storage/postgres/connections.py": (4, DRIVER),
    "storage/repositories/documents.py": (1, "the decoders of the stored documents"),
    "storage/repositories/filters.py": (1, "a column compares with values of its own type"),
    "storage/schema.py": (1, ROWS),
    "storage/sql_types.py": (4, "rows, as above, and SQLAlchemy's own generics, with parameters that are not used"),
    "storage/sqlite/file.py": (1, ROWS),
    "storage/sqlite/store.py": (1, DRIVERS_OWN),
    "telemetry/tracing.py": (1, "the group commit is generic over its commands"),
    "web/framework.py": (3, FRAMEWORK),
    "web/http_protocol.py": (3, "the server's own signatures"),
    "web/http_writing.py": (1, "it passes every other attribute of the transport on"),
    "web/short_cut.py": (1, "the server's own signature"),
    "workers.py": (1, "checked settings, on their way to another process"),
}


def test_any_stands_only_where_there_is_a_reason():
    found = {path.relative_to(SOURCE).as_posix(): count_in(path) for path in SOURCE.rglob("*.py")}
    more = {name: count for name, count in found.items() if count > ALLOWED.get(name, (0, ""))[0]}

    assert len(found) > 200
    assert more == {}, "type it, or add a line with the reason"


def test_no_reason_is_left_of_what_went():
    left = {name for name in ALLOWED if not (SOURCE / name).is_file() or not count_in(SOURCE / name)}

    assert left == set()


def test_any_is_allowed_so_often_and_no_more():
    assert sum(count for count, _ in ALLOWED.values()) <= CAP


def count_in(path: Path) -> int:
    """How often a file names `Any`, in annotations that are written as text, too. Imports do not count."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    nodes += [node for text in texts if "Any" in text for node in within(text)]
    return sum(
        (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.Attribute) and node.attr == "Any")
        for node in nodes
    )


def within(text: str) -> list[ast.AST]:
    """The nodes of an expression that is written as text; none of a sentence."""
    try:
        return list(ast.walk(ast.parse(text, mode="eval")))
    except SyntaxError:
        return []
