"""The pages at /docs as a browser shows them: without a complaint, and without a word to any other host."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from support.browser import Browser, Page, a_browser
from support.processes import Demo, a_demo

pytestmark = pytest.mark.slow

CONTRACTS = ("connect", "manage", "shopping", "tokens")
CALLS = "[...document.querySelectorAll('.opblock')]"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("pages") / "demo") as demo:
        yield demo


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with a_browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@dataclass
class Shown:
    """A contract's page, with the calls its document describes."""

    demo: Demo
    page: Page
    described: list[tuple[str, str]]


@pytest.fixture(scope="module", params=CONTRACTS)
def contract_page(running: Demo, browser: Browser, request: pytest.FixtureRequest) -> Shown:
    described, page = calls_of(running, request.param), browser.new_page()
    page.open(f"{running.base_url}/docs/{request.param}")
    page.until(f"{CALLS}.length >= {len(described)}")
    return Shown(running, page, described)


def test_the_index_leads_to_the_pages_and_documents_of_every_contract(running: Demo, browser: Browser, tmp_path: Path):
    page = browser.new_page()
    page.open(f"{running.base_url}/docs")
    links = page.value("[...document.querySelectorAll('a')].map(one => one.pathname)")
    assert sorted(links) == sorted(f"/docs/{name}{part}" for name in CONTRACTS for part in ("", "/openapi.json"))
    assert page.value("document.querySelector('h1').innerText").startswith("Countermand ")
    assert_it_kept_to_itself(page, running)
    page.screenshot(tmp_path / "docs.png")


def test_a_contracts_page_lists_every_call_of_its_document(contract_page: Shown, tmp_path: Path):
    page = contract_page.page
    shown = page.value(
        CALLS + ".map(one => [one.querySelector('.opblock-summary-method').innerText,"
        " one.querySelector('.opblock-summary-path').dataset.path])"
    )
    assert sorted(map(tuple, shown)) == sorted(contract_page.described)
    assert_it_kept_to_itself(page, contract_page.demo)
    page.screenshot(tmp_path / "calls.png")


def test_every_call_unfolds_with_its_answers_and_no_broken_reference(contract_page: Shown):
    page = contract_page.page
    page.value("document.querySelectorAll('.opblock-summary-control').forEach(one => one.click())")
    unfolded = "document.querySelectorAll('.opblock.is-open .responses-table').length"
    page.until(f"{unfolded} === {len(contract_page.described)}")
    assert page.value("document.querySelectorAll('.errors-wrapper').length") == 0
    assert_it_kept_to_itself(page, contract_page.demo)


def test_a_browser_that_asks_for_the_address_alone_is_led_to_the_pages(running: Demo, browser: Browser):
    page = browser.new_page()
    page.open(running.base_url)
    assert page.value("location.pathname") == "/docs"
    assert_it_kept_to_itself(page, running)


def assert_it_kept_to_itself(page: Page, demo: Demo) -> None:
    here = urlsplit(demo.base_url).netloc
    hosts = {urlsplit(url).netloc for url in page.asked if not url.startswith(("data:", "about:"))}
    assert hosts == {here}
    assert page.complaints == []
    assert {url: status for url, status in page.statuses.items() if status not in {0, 200, 302}} == {}


def calls_of(demo: Demo, name: str) -> list[tuple[str, str]]:
    """(method, path) of every call in a contract's document, in its order."""
    document = httpx.get(f"{demo.base_url}/docs/{name}/openapi.json", trust_env=False).json()
    calls = [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]
    assert calls
    return calls
