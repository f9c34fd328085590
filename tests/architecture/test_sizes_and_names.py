import ast
import functools
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "countermand"
TESTS = Path(__file__).parents[1]
OF_THE_WHOLE = {"architecture", "journeys", "support", "node"}
FILES = sorted(SOURCE.rglob("*.py"))
MIGRATIONS = SOURCE / "storage" / "migrations"
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "service", "services", "manager", "managers", "misc"}
MANNERS = {"speaking", "calling", "reading", "wanted", "listing", "basic", "running", "joined", "bounded", "lines"}
MANNERS |= {"once", "locked", "watch", "parts", "arrange"}
SAYS_IT_ALL = {SOURCE / "bootstrap" / "service.py"}  # it builds one thing: the `Service`


def test_there_is_something_to_measure():
    assert len(FILES) > 50


def test_no_module_has_a_name_that_could_hold_anything():
    vague = {path for path in FILES if {path.stem, *path.relative_to(SOURCE).parent.parts} & VAGUE}

    assert vague == SAYS_IT_ALL


def test_no_module_is_named_for_a_manner():
    assert [path for path in FILES if {path.stem, *path.relative_to(SOURCE).parent.parts} & MANNERS] == []


def test_the_tests_lie_in_the_folders_of_what_they_test():
    of_a_layer = [folder for folder in TESTS.iterdir() if folder.is_dir() and folder.name not in OF_THE_WHOLE]
    folders = {path.parent.relative_to(TESTS) for folder in of_a_layer for path in folder.rglob("test_*.py")}

    assert len(folders) > 20
    assert [folder for folder in folders if not (SOURCE / folder).is_dir()] == []


def test_no_file_is_longer_than_400_lines():
    lengths = {inside(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}

    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_no_function_is_longer_than_70_lines():
    long = {
        f"{inside(path)}: {function.name}": own_lines(function)
        for path in FILES
        if not path.is_relative_to(MIGRATIONS)
        for function in functions_in(parsed(path))
        if own_lines(function) > 70
    }

    assert long == {}


def test_every_module_opens_with_a_sentence():
    filled = [path for path in FILES if path.read_text(encoding="utf-8").strip()]

    assert [inside(path) for path in filled if not ast.get_docstring(parsed(path))] == []


def inside(path: Path) -> str:
    """A file's name within the source."""
    return path.relative_to(SOURCE).as_posix()


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions_in(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Without the functions inside it: each of those is read, and counted, by itself."""
    inner = [one for statement in function.body for one in functions_in(statement)]
    outermost = [one for one in inner if not any(one in functions_in(other) for other in inner if other is not one)]
    return length(function) - sum(length(one) for one in outermost)


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1
