"""What is locked is locked by its hash, and says nothing about where it was had from."""

import json
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["run.txt", "test.txt", "clients.txt"])
def test_every_python_requirement_has_its_version_and_hashes_and_no_address(name: str):
    text = (PROJECT / "requirements" / name).read_text()
    assert "://" not in text
    required = re.findall(r"^[a-z][^\n]*(?:\n {4}--hash=sha256:[0-9a-f]{64}[^\n]*)+", text, flags=re.MULTILINE)
    assert len(required) == len(re.findall(r"^[a-z]", text, flags=re.MULTILINE)) > 20


@pytest.mark.parametrize("folder", ["tests/node", "tests/clients"])
def test_every_package_of_the_tests_from_npm_has_its_version_and_hash_and_no_address(folder: str):
    wanted = json.loads((PROJECT / folder / "package.json").read_text())["dependencies"]
    locked = json.loads((PROJECT / folder / "package-lock.json").read_text())
    packages = {name: one for name, one in locked["packages"].items() if name}
    assert {f"node_modules/{name}" for name in wanted} <= packages.keys()
    assert len(wanted) > 1
    for name, one in packages.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+.*", one["version"]), name
        assert one["integrity"].startswith("sha512-"), name
        assert "resolved" not in one, name
