"""The payment page and the tickets as a buyer's phone shows them: usable, without complaints, and for everybody."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.browser import Browser, Page, a_browser
from support.processes import Demo, a_demo

pytestmark = pytest.mark.slow

AXE = Path(__file__).parents[1] / "node/node_modules/axe-core/axe.min.js"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("buyer") / "demo") as demo:
        yield demo


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with a_browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


def test_a_buyer_pays_at_the_press_of_a_button_and_has_tickets(running: Demo, browser: Browser, tmp_path: Path):
    order = unpaid(running, 0)
    page = on_a_phone(browser)
    page.open(order["_links"]["payment"]["href"])
    assert_fine(page)
    page.screenshot(tmp_path / "payment.png")
    assert page.value("document.querySelector('button').innerText").startswith("Pay EUR ")
    page.value("document.querySelector('button').click()")
    page.until("document.body.innerText.includes('This order is paid')")
    assert page.value("document.querySelector('button')") is None
    assert_fine(page)

    page.open(order["_links"]["shop:etickets"]["href"])
    assert page.value("document.querySelectorAll('.code svg').length") == tickets_of(order)
    assert_fine(page)
    page.screenshot(tmp_path / "tickets.png")
    assert page.complaints == []
    assert {url.split("/")[2] for url in page.asked if url.startswith("http")} == {running.base_url.split("/")[2]}


def test_of_a_cancelled_order_neither_page_gives_anything_away(running: Demo, browser: Browser, tmp_path: Path):
    order = unpaid(running, 1)
    cancelled(running, order)
    page = on_a_phone(browser)
    for rel in ("payment", "shop:etickets"):
        page.open(order["_links"][rel]["href"])
        assert "cancelled" in page.value("document.body.innerText")
        assert page.value("document.querySelectorAll('button, svg').length") == 0
        assert_fine(page)
        page.screenshot(tmp_path / f"{rel.replace(':', '-')}.png")


def test_an_order_that_is_cancelled_while_its_payment_page_is_open_is_not_paid(running: Demo, browser: Browser):
    order = unpaid(running, 2)
    page = on_a_phone(browser)
    page.open(order["_links"]["payment"]["href"])
    cancelled(running, order)
    page.value("document.querySelector('button').click()")
    page.until("document.body.innerText.includes('can no longer be paid')")
    again = httpx.get(order["_links"]["self"]["href"], headers=headers_of(running)).json()
    assert again["status"] == "cancelled"


def on_a_phone(browser: Browser) -> Page:
    page = browser.new_page()
    browser.tell("Emulation.setDeviceMetricsOverride", page.session, **PHONE)
    return page


def assert_fine(page: Page) -> None:
    """No sideways scrolling, everything to touch large enough, and nothing that axe-core minds."""
    assert page.value("document.documentElement.scrollWidth") <= PHONE["width"]
    heights = page.value("[...document.querySelectorAll('button')].map(one => one.getBoundingClientRect().height)")
    assert all(height >= 44 for height in heights)
    page.value(AXE.read_text() + "; 0")
    page.value("axe.run().then(found => { window.found = JSON.stringify(found.violations); }); 0")
    page.until("window.found !== undefined")
    violations = json.loads(page.value("window.found"))
    page.value("delete window.found; 0")
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations] == []


def unpaid(running: Demo, number: int) -> dict[str, Any]:
    """One of the demo's orders that can be paid or cancelled."""
    uri = running.json["shopping"]["orders"]["cancellable"][number]
    return dict(httpx.get(uri, headers=headers_of(running)).raise_for_status().json())


def headers_of(running: Demo) -> dict[str, str]:
    shopping = running.json["shopping"]
    pair = base64.b64encode(f"{shopping['key']}:{shopping['secret']}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def tickets_of(order: dict[str, Any]) -> int:
    return len(order["_embedded"]["shop:ticket"])


def cancelled(running: Demo, order: dict[str, Any]) -> None:
    body = {"order": order["_links"]["self"]["href"], "reason": "The buyer asked"}
    uri = f"{running.base_url}/ordercancellation/"
    httpx.post(uri, json=body, headers=headers_of(running)).raise_for_status()
