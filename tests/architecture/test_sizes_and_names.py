import ast
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_is_longer_than_400_lines_and_no_function_than_70(path):
    source = path.read_text(encoding="utf-8")
    long = {
        function.name: own_lines(function)
        for function in functions_in(ast.parse(source))
        if own_lines(function) > 70 and not path.is_relative_to(MIGRATIONS)
    }

    assert len(source.splitlines()) <= 400
    assert long == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_opens_with_a_sentence(path):
    source = path.read_text(encoding="utf-8")

    assert not source.strip() or ast.get_docstring(ast.parse(source))


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
