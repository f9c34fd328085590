import re
import subprocess
from pathlib import Path

MAKEFILE = Path(__file__).parents[2] / "Makefile"
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
    helped = subprocess.run(["make", "help"], cwd=MAKEFILE.parent, check=True, capture_output=True, text=True).stdout

    assert set(rules()) == phony_targets()
    assert {line.split()[0] for line in helped.splitlines()} == phony_targets()
