"""The wheel in an environment with nothing but what it asks for: it starts, cancels, and shows its pages."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from countermand.domain.orders.order import order_id_of
from support.browser import a_browser
from support.demo_orders import cancel_service_order, cancel_ticket_order, is_cancelled
from support.distributions import ROOT
from support.processes import STOP_LIMIT_S, Demo, until_ready

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # what pip fetches takes as long as it takes

LEFT_OUT = ("COUNTERMAND_", "PYTHON", "VIRTUAL_ENV")
CALLS = "[...document.querySelectorAll('.opblock')]"
IMPORT_ALL = """
import importlib, pkgutil, countermand
names = [one.name for one in pkgutil.walk_packages(countermand.__path__, "countermand.")]
for name in names:
    if not name.endswith("__main__") and ".migrations." not in name:
        importlib.import_module(name)
print(len(names), countermand.__file__)
"""


@dataclass(frozen=True)
class Installed:
    """An environment of its own, and an empty folder to be in."""

    programs: Path
    elsewhere: Path

    def run(self, program: str, *arguments: str, **settings: str) -> str:
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(
            command, cwd=self.elsewhere, env=clean() | settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def clean() -> dict[str, str]:
    """Our environment without anything that leads back to the repository."""
    return {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}


def pinned() -> dict[str, str]:
    """What the package is tested with, without the hashes: with those pip would ask for one of our own wheel."""
    text = (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")
    lines = [line.removesuffix(" \\") for line in text.splitlines() if re.match(r"[a-z]", line)]
    return {line.partition("==")[0]: line for line in lines}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pinned().values()))
    made = Installed(folder / "environment" / "bin", folder / "elsewhere")
    made.elsewhere.mkdir()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    for command in (
        (*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(ROOT)),
        (sys.executable, "-m", "venv", str(folder / "environment")),
    ):
        subprocess.run(command, cwd=made.elsewhere, env=clean(), check=True)
    (wheel,) = folder.glob("countermand-*.whl")
    made.run("python", *pip[1:], "install", "--constraint", str(constraints), str(wheel))
    return made


@pytest.fixture(scope="module")
def running(installed: Installed) -> Iterator[Demo]:
    folder = installed.elsewhere / "demo"
    process = subprocess.Popen(
        [installed.programs / "countermand", "demo", "--data-dir", folder, "--port", "0"],
        cwd=installed.elsewhere,
        env=clean() | {"COUNTERMAND_LOG_LEVEL": "warning"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    base_url, said = until_ready(process)
    yield Demo(process, base_url, said, folder)
    process.terminate()
    out, complaints = process.communicate(timeout=STOP_LIMIT_S)
    assert (process.returncode, complaints) == (0, ""), out


def test_it_brings_what_it_was_tested_with_and_nothing_else(installed: Installed):
    there = {one["name"].lower().replace("_", "-") for one in json.loads(installed.run("pip", "list", "--format=json"))}

    installed.run("pip", "check")
    assert there - pinned().keys() - {"pip", "setuptools"} == {"countermand"}
    assert "django" not in there


def test_every_module_of_it_can_be_imported(installed: Installed):
    count, file = installed.run("python", "-c", IMPORT_ALL).split()

    assert int(count) > 100
    assert Path(file).is_relative_to(installed.programs.parent)


def test_its_demo_cancels_an_order_of_each_contract(running: Demo):
    connect, shopping = (running.json[name]["orders"]["cancellable"][0] for name in ("connect", "shopping"))
    with running.client() as http:
        assert cancel_service_order(http, running, connect).status_code == 200
        assert cancel_ticket_order(http, running, shopping).status_code == 200
    assert is_cancelled(running, connect)
    assert is_cancelled(running, order_id_of(shopping.rpartition("/")[2]))


def test_its_pages_of_the_calls_work_in_a_browser(running: Demo, tmp_path: Path):
    (tmp_path / "profile").mkdir()
    with running.client() as http, a_browser(tmp_path / "profile") as browser:
        assert http.get("/docs").status_code == 200
        for contract in ("connect", "manage", "partner", "shopping", "tokens"):
            document = http.get(f"/docs/{contract}/openapi.json").json()
            described = [*document["paths"].values(), *document.get("webhooks", {}).values()]
            page = browser.new_page()
            page.open(f"{running.base_url}/docs/{contract}")
            page.until(f"{CALLS}.length === {sum(map(len, described))}")
            assert page.complaints == []


def test_a_buyer_sees_the_payment_page_and_the_tickets(running: Demo):
    shopping = running.json["shopping"]
    auth = (shopping["key"], shopping["secret"])
    order = httpx.get(shopping["orders"]["cancellable"][1], auth=auth, trust_env=False).json()
    for link in ("payment", "shop:etickets"):
        answer = httpx.get(order["_links"][link]["href"], trust_env=False)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_it_makes_a_database_without_the_demo(installed: Installed):
    database = installed.elsewhere / "orders.sqlite3"

    installed.run("countermand", "migrate", COUNTERMAND_DATABASE_PATH=str(database))

    assert database.exists()
