"""Which browser the tests drive is said at once, before anything slow; and so is what to do where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.browser_choice import NAMED, UNPACKED, comes_with_the_packages
from support.makefile import ROOT, planned

PROGRAM = ROOT / "tests" / "support" / "browser_choice.py"
# A system that no package has a browser for, as Python tells it.
ELSEWHERE = f"""
import platform, runpy, sys
platform.machine, sys.platform = (lambda: "riscv64"), "linux"
runpy.run_path({str(PROGRAM)!r}, run_name="__main__")
"""


def test_a_named_browser_is_taken_wherever_we_are(tmp_path: Path):
    mine = program(tmp_path / "mine")

    assert said([str(PROGRAM)], named=mine) == (0, f"The tests drive {mine}, which {NAMED} names.\n", "")
    assert said(["-c", ELSEWHERE], named=mine) == (0, f"The tests drive {mine}, which {NAMED} names.\n", "")


def test_a_named_browser_that_is_not_there_is_refused_with_its_name(tmp_path: Path):
    code, out, complaint = said([str(PROGRAM)], named=tmp_path / "mine")

    assert (code, out) == (1, "")
    assert NAMED in complaint
    assert str(tmp_path / "mine") in complaint


def test_where_none_comes_with_the_packages_the_machines_own_is_taken(tmp_path: Path):
    chromium = program(tmp_path / "chromium")

    assert said(["-c", ELSEWHERE], path=tmp_path) == (0, f"The tests drive this machine's {chromium}.\n", "")


def test_where_there_is_none_it_says_what_to_install_and_which_variable_names_one(tmp_path: Path):
    code, out, complaint = said(["-c", ELSEWHERE], path=tmp_path)

    assert (code, out) == (1, "")
    assert complaint.startswith("The tests drive a browser, and none was found. Install Google Chrome or Chromium")
    assert NAMED in complaint
    assert "riscv64" in complaint


@pytest.mark.skipif(not comes_with_the_packages(), reason="the packages have none for this system")
def test_the_packages_browser_is_preferred_to_the_machines_so_that_all_drive_the_same(tmp_path: Path):
    program(tmp_path / "chromium")

    code, out, _ = said([str(PROGRAM)], path=tmp_path)

    assert code == 0
    assert "@sparticuz/chromium" in out
    assert str(tmp_path) not in out
    assert (UNPACKED / "chromium").exists()


def test_it_is_the_first_thing_that_the_slow_tests_ask_and_the_others_need_none():
    first, *others = planned("test-slow").splitlines()

    assert first.endswith(str(PROGRAM.relative_to(ROOT)))
    assert any("pytest" in line for line in others)
    assert PROGRAM.name not in planned("test")


def program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return path


def said(command: list[str], *, named: Path | None = None, path: Path = Path("/nowhere")) -> tuple[int, str, str]:
    environment = {"PATH": str(path)} | ({NAMED: str(named)} if named else {})
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
