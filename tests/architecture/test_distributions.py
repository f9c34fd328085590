"""What is built for others to install has all that the package needs at run time, its licences, and nothing else."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

from countermand import __version__
from support.distributions import ROOT, build

SOURCE = ROOT / "src"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata(wheel: Path) -> Message:
    (text,) = [text for name, text in contents(wheel).items() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(text)


def test_the_wheel_has_every_file_of_the_package_as_it_is_and_no_other(wheel: Path):
    files = {
        path.relative_to(SOURCE).as_posix(): path.read_bytes()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    inside = {name: content for name, content in contents(wheel).items() if ".dist-info/" not in name}

    assert inside.keys() == files.keys()
    assert [name for name, content in files.items() if inside[name] != content] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "countermand/py.typed",
        "countermand/storage/migrations/versions/0001_*.py",
        "countermand/web/assets/*.css",
        "countermand/web/templates/payment.html",
        "countermand/web/guides/operations.md",
        "countermand/web/guides/contracts/*.md",
        "countermand/contracts/connect/examples.json",
        "countermand/web/vendored/vendored.json",
        "countermand/web/vendored/swagger-ui-dist/swagger-ui-bundle.js",
    ],
)
def test_the_wheel_has_what_is_not_imported_too(wheel: Path, pattern: str):
    assert [name for name in contents(wheel) if Path(name).match(pattern)]


def test_the_licence_of_everything_that_is_shipped_is_shipped_and_named(wheel: Path):
    licences = {
        path.relative_to(ROOT).as_posix(): path.read_bytes() for path in (SOURCE / "countermand").rglob("*LICENSE*")
    }
    licences |= {"LICENSE": (ROOT / "LICENSE").read_bytes()}
    shipped = {name.partition("/licenses/")[2]: content for name, content in contents(wheel).items()}

    assert len(licences) > 2
    assert set(metadata(wheel).get_all("License-File", [])) >= licences.keys()
    assert {name: shipped.get(name) for name in licences} == licences


def test_the_wheel_asks_for_what_is_declared_and_for_no_more(wheel: Path):
    asked = [line.replace(" ", "") for line in metadata(wheel).get_all("Requires-Dist", [])]

    assert sorted(asked) == sorted(line.replace(" ", "") for line in PROJECT["dependencies"])


def test_the_wheel_has_the_command(wheel: Path):
    (points,) = [text.decode() for name, text in contents(wheel).items() if name.endswith("entry_points.txt")]

    assert "[console_scripts]\ncountermand=countermand.__main__:main\n" in points


def test_the_version_stands_in_one_place_and_the_wheel_has_it(wheel: Path):
    assert metadata(wheel)["Version"] == __version__
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]


def test_the_wheel_names_only_pythons_that_the_tests_were_run_on_and_both_fields(wheel: Path):
    classifiers = metadata(wheel).get_all("Classifier", [])
    pythons = {one.rpartition(" ")[2] for one in classifiers if re.search(r"Python :: 3\.\d+$", one)}

    assert pythons == {"3.11"}
    assert "Intended Audience :: Telecommunications Industry" in classifiers
    assert {"telecom", "ticketing"} <= set(metadata(wheel)["Keywords"].split(","))


def test_the_archive_of_the_source_has_every_file_that_git_has_and_nothing_that_was_made(tmp_path: Path):
    archive = build("sdist", tmp_path)
    with tarfile.open(archive) as inside:
        packed = {name.partition("/")[2] for name in inside.getnames()}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kept = {name for name in listed.split("\0") if name and (ROOT / name).exists()} - {".gitignore", ".gitattributes"}

    assert {"docs/operations.md", "tests/conftest.py", "SECURITY.md", "Makefile", "bench/run.py"} <= packed
    assert kept - packed == set()
    made = {name for name in packed - kept if "__pycache__" in name or "node_modules" in name}
    assert made == set()


def test_the_archive_of_the_source_builds_the_same_wheel(wheel: Path, tmp_path: Path):
    archive = build("sdist", tmp_path)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", tmp_path, archive], check=True)
    (rebuilt,) = tmp_path.glob("*.whl")

    assert rebuilt.name == wheel.name
    assert contents(rebuilt) == contents(wheel)
