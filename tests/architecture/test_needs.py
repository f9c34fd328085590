"""A slow test that lacks a program of the machine does not run, and the end of the run says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ABSENT = "a-program-that-is-not-here"
FILE = f"""
import pytest

@pytest.mark.needs("sh")
def test_with_a_shell(): pass

@pytest.mark.needs("sh", "{ABSENT}")
def test_with_what_is_absent(): raise AssertionError

def test_with_nothing(): pass
"""


@pytest.mark.parametrize("processes", [(), ("--numprocesses", "2")], ids=["alone", "in processes"])
def test_what_lacks_a_program_is_named_at_the_end_with_what_it_lacks(tmp_path: Path, processes: tuple[str, ...]):
    code, said = run(tmp_path, "-m", "slow", *processes)

    assert code == 0
    assert f"not here: {ABSENT}; these tests did not run" in said
    assert f"test_it.py::test_with_what_is_absent  needs {ABSENT}\n" in said
    assert "test_with_a_shell" not in said
    assert "1 passed, 1 skipped" in said


def test_what_needs_a_program_is_left_out_of_the_fast_tests(tmp_path: Path):
    code, said = run(tmp_path, "-m", "not slow")

    assert code == 0
    assert "1 passed, 2 deselected" in said
    assert "not here" not in said


def test_where_nothing_is_lacking_nothing_is_said(tmp_path: Path):
    code, said = run(tmp_path, "-m", "slow", "--deselect", "test_it.py::test_with_what_is_absent")

    assert code == 0
    assert "1 passed" in said
    assert "not here" not in said


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    (folder / "test_it.py").write_text(FILE)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nmarkers = slow\n")
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "support.needs", *arguments]
    environment = os.environ | {"PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
