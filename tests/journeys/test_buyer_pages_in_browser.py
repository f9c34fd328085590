"""The payment page and the tickets as a buyer's phone shows them: usable, without complaints, and for everybody."""

import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.browser import Browser, Page, a_browser
from support.looks import PHONE, assert_fine_everywhere, sheets_of_paper, show
from support.processes import Demo, a_demo

pytestmark = pytest.mark.slow


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
    assert_fine_everywhere(page)
    page.screenshot(tmp_path / "payment.png")
    assert page.value("document.querySelector('button').innerText").startswith("Pay EUR ")
    page.value("document.querySelector('button').click()")
    page.until("document.body.innerText.includes('This order is paid')")
    assert page.value("document.querySelector('button')") is None
    assert_fine_everywhere(page)

    page.open(order["_links"]["shop:etickets"]["href"])
    assert page.value("document.querySelectorAll('.code svg').length") == tickets_of(order)
    assert sheets_of_paper(page) == tickets_of(order), "each ticket is printed on a sheet of its own"
    assert_fine_everywhere(page)
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
        assert_fine_everywhere(page)
        page.screenshot(tmp_path / f"{rel.replace(':', '-')}.png")


def test_an_order_that_is_cancelled_while_its_payment_page_is_open_is_not_paid(running: Demo, browser: Browser):
    order = unpaid(running, 2)
    page = on_a_phone(browser)
    page.open(order["_links"]["payment"]["href"])
    cancelled(running, order)
    page.value("document.querySelector('button').click()")
    page.until("document.body.innerText.includes('Nothing was paid just now')")
    again = httpx.get(order["_links"]["self"]["href"], headers=headers_of(running)).json()
    assert again["status"] == "cancelled"


@pytest.mark.parametrize("address", ["http://[::1]:{port}/thanks", "HTTP://127.0.0.1:{port}/thanks"])
def test_the_browser_follows_the_way_back_to_an_ip_address(running: Demo, browser: Browser, address: str):
    with a_shop_at("::1" if "::1" in address else "127.0.0.1") as port:
        order = placed(running, redirect_url=address.format(port=port))
        page = on_a_phone(browser)
        page.open(order["_links"]["payment_url"]["href"])
        page.value("document.querySelector('button').click()")
        page.until("document.body.innerText === 'Thank you'")
    assert [one for one in page.complaints if "Content Security Policy" in one] == []


def test_the_browser_is_not_stopped_on_the_way_back_to_an_app(running: Demo, browser: Browser):
    number = client_number(running)
    with running.client(headers=running.manage_headers()) as operator:
        path = f"/manage/v1/clients/{number}/redirects"
        operator.put(path, json={"redirect_schemes": ["countermandtest"]}).raise_for_status()
    for _ in range(40):  # until the node has read its clients again
        answer = place(running, redirect_url="countermandtest://thanks")
        if answer.status_code == 201:
            break
        time.sleep(0.5)
    order = answer.raise_for_status().json()
    page = on_a_phone(browser)
    page.open(order["_links"]["payment"]["href"])
    page.value("document.querySelector('button').click()")
    deadline = time.monotonic() + 30
    while status_of(running, order) != "completed":
        assert time.monotonic() < deadline
    page.value("1")
    assert [one for one in page.complaints if "Content Security Policy" in one] == []


def test_free_tickets_and_addresses_without_an_order_are_fine_too(running: Demo, browser: Browser):
    page = on_a_phone(browser)
    product = running.json["shopping"]["products"]["free"]
    body = {"products": [{"product": product, "quantity": 2}], "consumer": {"first_name": "Jo", "country": "NL"}}
    made = httpx.post(f"{running.base_url}/orders", json=body, headers=headers_of(running)).raise_for_status().json()
    for rel, said in {"payment": "This order is free", "shop:etickets": "Ticket 2 of 2"}.items():
        page.open(made["_links"][rel]["href"])
        assert said in page.value("document.body.innerText")
        assert_fine_everywhere(page)
    assert page.value("document.querySelector('a[href$=\"event.ics\"]').innerText") == "Add to calendar"
    page.open(f"{running.base_url}/etickets/{'0' * 64}")
    assert_fine_everywhere(page)


def on_a_phone(browser: Browser) -> Page:
    page = browser.new_page()
    show(page, PHONE, "light")
    return page


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


def status_of(running: Demo, order: dict[str, Any]) -> str:
    return str(httpx.get(order["_links"]["self"]["href"], headers=headers_of(running)).json()["status"])


def place(running: Demo, **more: Any) -> httpx.Response:
    paid = running.json["shopping"]["products"]["paid"]
    consumer = {"first_name": "Jo", "last_name": "Visitor", "email": "jo@example.com", "country": "NL"}
    body = {"products": [{"product": paid, "quantity": 1}], "consumer": consumer}
    bill = httpx.post(f"{running.base_url}/bill", json=body, headers=headers_of(running)).raise_for_status().json()
    method = bill["available_payment_methods"][0]["uid"]
    wanted = body | {"payment_method": method} | more
    return httpx.post(f"{running.base_url}/orders", json=wanted, headers=headers_of(running))


def placed(running: Demo, **more: Any) -> dict[str, Any]:
    answer = place(running, **more)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def client_number(running: Demo) -> int:
    with running.client(headers=running.manage_headers()) as operator:
        clients = operator.get("/manage/v1/clients").raise_for_status().json()["clients"]
    (number,) = (one["id"] for one in clients if one["key"] == running.json["shopping"]["key"])
    return int(number)


@contextmanager
def a_shop_at(host: str) -> Iterator[int]:
    """The page that thanks the buyer, on a port of a loopback address."""

    class Thanks(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(b"Thank you")

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    with Server((host, 0), Thanks) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
