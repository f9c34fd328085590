"""The pages at /docs as a browser shows them: without a complaint, and without a word to any other host."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from countermand.web.pages.link_relations import RELATIONS
from support.browser import Browser, Page, a_browser
from support.looks import assert_contrast_everywhere, assert_fine_everywhere
from support.processes import Demo, a_demo

pytestmark = pytest.mark.slow

CONTRACTS = ("connect", "manage", "partner", "shopping", "tokens")
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
    links = set(page.value("[...document.querySelectorAll('a')].map(one => one.pathname)"))
    assert links >= {f"/docs/{name}{part}" for name in CONTRACTS for part in ("", "/openapi.json")}
    assert page.value("document.querySelector('h1').innerText").startswith("Countermand ")
    assert_it_kept_to_itself(page, running)
    page.screenshot(tmp_path / "docs.png")
    assert_fine_everywhere(page)


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
    for number in range(len(contract_page.described)):  # folded again, because each click draws all that is unfolded
        unfold(page, [number])
        page.value(f"{CALLS}[{number}].querySelector('.opblock-summary-control').click()")
    assert page.value("document.querySelectorAll('.errors-wrapper').length") == 0
    assert_it_kept_to_itself(page, contract_page.demo)


def test_an_unfolded_call_of_each_method_is_read_in_light_and_dark(contract_page: Shown):
    page = browser_tab(contract_page)
    methods = page.value(CALLS + ".map(one => one.querySelector('.opblock-summary-method').innerText)")
    unfold(page, sorted(methods.index(method) for method in set(methods)))
    assert_contrast_everywhere(page)


def test_a_contracts_page_is_fine_for_everybody(contract_page: Shown):
    page = browser_tab(contract_page)
    assert_fine_everywhere(page)
    assert_it_kept_to_itself(page, contract_page.demo)


@pytest.mark.parametrize("name", RELATIONS)
def test_a_page_about_a_relation_is_fine_for_everybody(running: Demo, browser: Browser, name: str):
    page = browser.new_page()
    page.open(f"{running.base_url}/documentation/{name}.html")
    assert_fine_everywhere(page)
    assert_it_kept_to_itself(page, running)


def test_a_link_on_the_page_about_a_relation_opens_its_call(running: Demo, browser: Browser):
    page = browser.new_page()
    page.open(f"{running.base_url}/documentation/ordercancellation.html")
    page.value("document.querySelector('td.about a').click()")
    page.until("document.querySelector('.opblock.is-open .opblock-summary-path') !== null")
    opened = page.value("document.querySelector('.opblock.is-open .opblock-summary-path').dataset.path")
    assert opened == "/ordercancellation/"


@pytest.mark.parametrize("path", ["/nothing/here", "/api/connect/orders/create"])
def test_a_wrong_address_is_a_page_that_is_fine_for_everybody(running: Demo, browser: Browser, path: str):
    page = browser.new_page()
    page.open(running.base_url + path)
    assert page.value("document.querySelector('.eyebrow').innerText") in {"Error 404", "Error 405"}
    assert_fine_everywhere(page)


def test_a_reader_with_a_keyboard_skips_to_the_content_and_sees_where_the_focus_is(running: Demo, browser: Browser):
    page = browser.new_page()
    page.open(f"{running.base_url}/docs")
    for kind in ("keyDown", "keyUp"):
        browser.tell("Input.dispatchKeyEvent", page.session, type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert page.value("document.activeElement.innerText") == "Skip to the content"
    assert page.value("document.activeElement.getBoundingClientRect().left >= 0")
    assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_browser_that_asks_for_the_address_alone_is_led_to_the_pages(running: Demo, browser: Browser):
    page = browser.new_page()
    page.open(running.base_url)
    assert page.value("location.pathname") == "/docs"
    assert_it_kept_to_itself(page, running)


def unfold(page: Page, numbers: Iterable[int]) -> None:
    """Unfold these calls, one by one."""
    for number in numbers:
        page.value(f"{CALLS}[{number}].querySelector('.opblock-summary-control').click()")
        page.until(f"{CALLS}[{number}].querySelector('.responses-table') !== null")


def browser_tab(shown: Shown) -> Page:
    """The contract's page in a tab of its own, with all its calls folded."""
    page = shown.page.browser.new_page()
    page.open(shown.page.value("location.href.split('#')[0]"))  # the part behind # unfolds a call
    page.until(f"{CALLS}.length >= {len(shown.described)}")
    return page


def assert_it_kept_to_itself(page: Page, demo: Demo) -> None:
    here = urlsplit(demo.base_url).netloc
    hosts = {urlsplit(url).netloc for url in page.asked if not url.startswith(("data:", "about:"))}
    assert hosts == {here}
    assert page.complaints == []
    assert {url: status for url, status in page.statuses.items() if status not in {0, 200, 302}} == {}


def calls_of(demo: Demo, name: str) -> list[tuple[str, str]]:
    """(method, path) of every call in a contract's document, in its order; for a webhook the kind instead of a path."""
    document = httpx.get(f"{demo.base_url}/docs/{name}/openapi.json", trust_env=False).json()
    described = [*document["paths"].items(), *document.get("webhooks", {}).items()]
    calls = [(method.upper(), path) for path, methods in described for method in methods]
    assert calls
    return calls


@pytest.mark.parametrize(
    ("name", "operation"), [("connect", "listOrders"), ("shopping", "listEvents"), ("manage", "listClients")]
)
def test_the_first_call_that_is_tried_on_a_page_of_the_demo_works_without_typing(
    running: Demo, browser: Browser, name: str, operation: str
):
    page = browser.new_page()
    page.open(f"{running.base_url}/docs/{name}")
    block = f"[id$='-{operation}']"
    page.until(f'document.querySelector("{block}") !== null')
    page.value(f'document.querySelector("{block} .opblock-summary-control").click()')
    for button in ("try-out__btn", "execute"):
        page.until(f'document.querySelector("{block} .{button}") !== null')
        page.value(f'document.querySelector("{block} .{button}").click()')
    status = f'document.querySelector("{block} .live-responses-table .response .response-col_status")'
    page.until(f"{status} !== null")
    assert page.value(f"{status}.innerText").strip().startswith("200")
