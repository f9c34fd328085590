"""Prism, a proxy between clients and a server, compares all requests and answers with the published documents."""

import json
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.clients import NODE, PACKAGES
from support.connect_calls import SERVICE_ORDER
from support.processes import START_LIMIT_S, STOP_LIMIT_S, Demo, a_demo
from support.serving import free_port

pytestmark = pytest.mark.slow

PRISM = PACKAGES / "@stoplight" / "prism-cli" / "dist" / "index.js"
NAMES = ("connect", "shopping", "manage")


@dataclass
class Checked:
    """Calls through the proxies. `violations` has what the document does not allow, with the call."""

    demo: Demo
    clients: dict[str, httpx.Client] = field(default_factory=dict)
    violations: list[tuple[Any, ...]] = field(default_factory=list)

    def __call__(self, name: str, method: str, path: str, status: int, body: Any = None, **how: Any) -> httpx.Response:
        """Call a path or an address of the server, and check the status."""
        at = path.removeprefix(self.demo.base_url)
        answer = self.clients[name].request(method, at, json=body, **how)
        assert answer.status_code == status, (method, at, answer.text)
        for one in json.loads(answer.headers.get("sl-violations", "[]")):
            self.violations.append((method, at, status, one["location"], one["message"]))
        return answer


@pytest.fixture(scope="module")
def prisms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    folder = tmp_path_factory.mktemp("prism")
    with a_demo(folder / "demo") as demo, ExitStack() as stack:
        checked = Checked(demo)
        ports = {name: a_prism(demo, name, folder, stack) for name in NAMES}
        given = demo.json["shopping"]
        how: dict[str, dict[str, Any]] = {
            "connect": {"headers": demo.connect_headers()},
            "shopping": {"auth": (given["key"], given["secret"])},
            "manage": {"headers": demo.manage_headers()},
        }
        for name, port in ports.items():
            until_listening(port)
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False, **how[name])
            checked.clients[name] = stack.enter_context(client)
        yield checked


def a_prism(demo: Demo, name: str, folder: Path, stack: ExitStack) -> int:
    """Start a proxy for one document, and return its port."""
    saved, port = folder / f"{name}.json", free_port()
    with demo.client() as http:
        saved.write_bytes(http.get(f"/docs/{name}/openapi.json").raise_for_status().content)
    log = stack.enter_context((folder / f"{name}.log").open("w"))
    command = [NODE, PRISM, "proxy", "--port", str(port), saved, demo.base_url]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    stack.callback(process.wait, STOP_LIMIT_S)
    stack.callback(process.terminate)
    return port


def until_listening(port: int) -> None:
    ends_at = time.monotonic() + START_LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < ends_at, "the proxy does not listen"
            time.sleep(0.2)
        else:
            return


def test_a_partners_orders_and_refusals_are_as_its_document_says(prisms: Checked):
    def call(*given: Any, **how: Any) -> httpx.Response:
        return prisms("connect", *given, **how)

    root, orders = "/api/connect/orders", prisms.demo.json["connect"]["orders"]
    created = call("POST", f"{root}/create", 201, SERVICE_ORDER).json()["id"]
    for path in ("", f"/{created}", f"/{created}/cancellability", f"/{orders['appointment_in_30h'][0]}/appointments"):
        call("GET", root + path, 200)
    call("POST", f"{root}/cancel", 200, {"orderId": created})
    for order_id in (created, orders["appointment_in_25h"][0], orders["activated"][0]):
        call("POST", f"{root}/cancel", 422, {"orderId": order_id})
        call("GET", f"{root}/{order_id}", 200)
        call("GET", f"{root}/{order_id}/cancellability", 200)
    call("POST", f"{root}/cancel", 404, {"orderId": orders["others"][0]})
    call("GET", f"{root}/999999", 404)
    call("POST", f"{root}/cancel", 401, {"orderId": created}, headers={"Authorization": "Bearer none"})
    assert prisms.violations == []
    bad = call("POST", f"{root}/create", 422, SERVICE_ORDER | {"contactPhone": "1"})
    assert [error["field"] for error in bad.json()["errors"]] == ["contactPhone"]
    assert [one[3][0] for one in prisms.violations] == ["request"]  # and the proxy lives on
    prisms.violations.clear()


def test_a_shops_catalogue_orders_and_refusals_are_as_its_document_says(prisms: Checked):
    def call(*given: Any, **how: Any) -> httpx.Response:
        return prisms("shopping", *given, **how)

    given = prisms.demo.json["shopping"]
    for path in ("/", "/status", "/events", given["event"], "/orders", "/consumers", *given["products"].values()):
        call("GET", path, 200)
    call("GET", "/products", 200, params={"event": given["event"]})
    consumer = {"first_name": "Jo", "last_name": "Visitor", "email": "jo@example.com", "country": "NL"}
    wanted = {"products": [{"product": given["products"]["paid"], "quantity": 2}], "consumer": consumer}
    methods = call("POST", "/bill", 200, wanted).json()["available_payment_methods"]
    wanted["payment_method"] = next(one["uid"] for one in methods if not one.get("required_consumer_fields"))
    key = {"Idempotency-Key": uuid.uuid4().hex}
    order = call("POST", "/orders", 201, wanted, headers=key).headers["location"]
    assert call("POST", "/orders", 201, wanted, headers=key).headers["location"] == order
    call("POST", "/orders", 422, wanted | {"external_reference": "another"}, headers=key)
    for kind in ("free", "combo"):
        call("POST", "/orders", 201, wanted | {"products": [{"product": given["products"][kind], "quantity": 1}]})
    call("POST", "/orders", 409, wanted | {"products": [{"product": given["products"]["sold_out"], "quantity": 1}]})
    for status in (200, 409):
        call("GET", order, 200)
        call("GET", f"{order}/cancellability", 200)
        call("POST", "/ordercancellation/", status, {"order": order, "reason": "The buyer asked"})
    of = given["orders"]
    call("POST", "/ordercancellation", 403, {"order": of["paid"][0], "reason": "The buyer asked"})
    call("POST", "/ordercancellation", 404, {"order": of["others"][0], "reason": "The buyer asked"})
    call("POST", "/ordercancellation", 401, {"order": order, "reason": "The buyer asked"}, auth=("no", "body"))
    call("GET", of["paid"][0], 200)
    call("GET", f"/orders/{'0' * 32}", 404)
    assert prisms.violations == []


def test_an_operators_calls_and_refusals_are_as_its_document_says(prisms: Checked):
    def call(method: str, path: str, *given: Any, **how: Any) -> httpx.Response:
        return prisms("manage", method, f"/manage/v1/{path}", *given, **how)

    of = prisms.demo.json["shopping"]["orders"]["cancellable"]
    paid, cancelled = (uri.rpartition("/")[2] for uri in of[:2])
    payment = {"reference": "through a proxy", "amount": 1.25, "currency": "EUR"}
    call("POST", f"orders/{paid}/payments", 201, payment)
    call("POST", f"orders/{paid}/payments", 200, payment)
    call("POST", f"orders/{paid}/cancel", 409, {"reason": "The buyer asked"})
    call("POST", f"orders/{cancelled}/cancel", 200, {"reason": "The buyer asked"})
    call("POST", f"orders/{cancelled}/payments", 409, payment | {"reference": "too late"})
    service = prisms.demo.json["connect"]["orders"]["cancellable"][-1]
    starts_at = datetime.now(UTC) + timedelta(hours=50)
    times = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=4)).isoformat()}
    visit = call("POST", f"orders/connect-{service}/appointments", 201, times).json()["id"]
    call("POST", f"orders/connect-{service}/appointments", 409, times)
    call("PUT", f"orders/connect-{service}/appointments/{visit}", 200, times)
    call("DELETE", f"orders/connect-{service}/appointments/{visit}", 200)
    call("POST", f"orders/connect-{service}/moves", 200, {"move": "accept"})
    call("POST", f"orders/connect-{service}/moves", 409, {"move": "complete"})
    for order in (paid, cancelled, f"connect-{service}"):
        call("GET", f"orders/{order}", 200)
        call("GET", f"orders/{order}/cancellability", 200)
    for path in ("appointment-tasks", "calendar/slots", "clients"):
        call("GET", path, 200)
    call("PUT", "catalogue", 200, call("GET", "catalogue", 200).json())
    added = call("POST", "clients", 201, {"contract": "shopping", "name": "A shop", "permissions": ["read"]}).json()
    call("POST", f"clients/{added['client']['id']}/rotate", 200)
    call("POST", f"clients/{added['client']['id']}/revoke", 200)
    call("GET", "orders/connect-999999", 404)
    call("GET", "clients", 401, headers={"Authorization": "Bearer no.body"})
    assert prisms.violations == []
