import re
import subprocess

import pytest

from support.makefile import ROOT, make, planned

MAKEFILE = ROOT / "Makefile"
CI = ROOT / ".ci" / "run"
RULE = re.compile(r"^(?P<target>[a-z-]+):(?!=).*\n(?P<recipe>(?:\t.*\n)*)", re.MULTILINE)
WITHOUT_RECIPE = {"setup": "$(VENV)/.ready-to-run"}  # what it is made of is what it does


def phony_targets() -> set[str]:
    return set(re.search(r"^\.PHONY: (.*)$", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)[1].split())


def rules() -> dict[str, re.Match[str]]:
    return {rule["target"]: rule for rule in RULE.finditer(MAKEFILE.read_text(encoding="utf-8"))}


def test_every_phony_target_has_a_rule_that_does_something():
    empty = {
        target
        for target in phony_targets()
        if target not in rules()
        or not (rules()[target]["recipe"] or WITHOUT_RECIPE.get(target, "?") in rules()[target][0])
    }

    assert len(phony_targets()) > 5
    assert empty == set()


def test_every_target_that_people_call_is_phony_and_in_the_help():
    helped = make("help")

    assert set(rules()) == phony_targets()
    assert {line.split()[0] for line in helped.splitlines()} == phony_targets()


def test_lint_runs_every_tool_that_it_names():
    assert [tool for tool in ("ruff format", "ruff check", "mypy", "lint-imports") if tool not in planned("lint")] == []


def test_check_runs_what_fails_fastest_first_and_of_the_tests_those_that_need_no_postgresql():
    lines = planned("check").splitlines()
    steps = [line for line in lines if re.search(r"/(ruff|mypy|lint-imports)\b|-m pytest", line)]

    named = ["ruff format", "ruff check", "mypy", "lint-imports", "pytest"]
    assert [name for line in steps for name in named if f"/{name}" in line or f"-m {name}" in line] == named
    assert steps[-1].endswith(' -m "not postgres and not slow and not long" tests/domain tests/actions')
    assert "\t@" not in rules()["check"]["recipe"] + rules()["lint"]["recipe"], "make says which step runs"


def test_a_file_is_run_with_all_its_tests_the_slow_ones_too():
    line = planned("test-file", "F=tests/domain/test_money.py tests/test_settings.py").splitlines()[-1]

    assert line.endswith(" -m pytest tests/domain/test_money.py tests/test_settings.py")


def test_where_no_file_is_named_no_test_is_run():
    with pytest.raises(subprocess.CalledProcessError) as raised:
        planned("test-file")

    assert "no test was run; name a file or a test: make test-file F=" in raised.value.stderr
    assert "-m pytest" not in raised.value.stdout


@pytest.mark.parametrize(("target", "chosen"), [("test", "not slow"), ("test-slow", "slow")])
def test_between_them_the_two_commands_run_every_test(target: str, chosen: str):
    (line,) = [line for line in planned(target).splitlines() if "pytest" in line]

    assert line.endswith(f' -m "{chosen}"' if " " in chosen else f" -m {chosen}")
    assert "--ignore" not in line
    assert "--deselect" not in line


def test_continuous_integration_runs_both_and_installs_nothing():
    lines = [line for line in CI.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]

    assert lines == ["set -eu", 'cd "$(dirname "$0")/.."', "make test", "make test-slow"]
