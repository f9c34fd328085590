"""The files of others that the package ships are those of the npm packages that the tests pin, licences included."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from support.vendor import LIST, PACKAGES, VENDORED

LOCK = json.loads((PACKAGES.parent / "package-lock.json").read_text(encoding="utf-8"))


def listed() -> dict[str, dict[str, Any]]:
    return json.loads(LIST.read_text(encoding="utf-8"))


def hashes(folder: Path, names: set[str]) -> dict[str, str]:
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_every_file_that_is_shipped_is_listed():
    there = {str(path.relative_to(VENDORED)) for path in VENDORED.rglob("*") if path.is_file() and path != LIST}

    assert there == {f"{package}/{name}" for package, one in listed().items() for name in one["files"]}


@pytest.mark.parametrize("package", listed())
def test_a_file_is_the_listed_one_and_the_npm_packages_own(package: str):
    files = listed()[package]["files"]

    assert hashes(VENDORED / package, files.keys()) == files
    assert hashes(PACKAGES / package, files.keys()) == files


@pytest.mark.parametrize("package", listed())
def test_the_list_names_the_version_that_is_pinned_and_its_licence(package: str):
    locked, one = LOCK["packages"][f"node_modules/{package}"], listed()[package]

    assert (one["version"], one["licence"]) == (locked["version"], locked["license"])


@pytest.mark.parametrize("package", listed())
def test_every_notice_and_licence_that_stands_beside_a_file_is_shipped_with_it(package: str):
    files = listed()[package]["files"]
    beside = {"LICENSE", "NOTICE", *(f"{name}.LICENSE.txt" for name in files)}
    theirs = {path.name for path in (PACKAGES / package).iterdir()}

    assert "LICENSE" in files
    assert beside & theirs <= files.keys()
