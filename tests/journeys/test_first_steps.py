"""What a newcomer does first with a demo: cancel an order, and hear of it as a receiver."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from support.demo_orders import cancel_service_order
from support.processes import Demo, finished, forked

LIMIT_S = 120  # the machine may be busy; nothing here asserts a time


def test_a_demo_cancels_an_order_once_and_then_says_why_not(demo: Demo):
    order_id = demo.json["connect"]["orders"]["cancellable"][0]
    with demo.client(headers=demo.connect_headers()) as http:
        first = http.post("/api/connect/orders/cancel", json={"orderId": order_id})
        second = http.post("/api/connect/orders/cancel", json={"orderId": order_id})
    assert (first.status_code, first.content) == (200, b"")
    assert second.status_code == 422
    assert second.json()["errors"][0]["code"] == "order_not_cancellable"


def test_three_commands_bring_a_cancellation_to_a_receiver(demo: Demo):
    settings = exported(demo)
    first, second = demo.json["connect"]["orders"]["cancellable"][:2]
    with a_listener(settings) as (url, lines), demo.client() as http:
        code, out, err = finished("endpoint", "add", url, environment=settings)
        assert (code, "shown again" in err) == (0, True)
        endpoint, secret = out.split()[1].rstrip(","), out.split()[-1]
        assert secret.startswith("whsec_")
        assert [cancel_service_order(http, demo, one).status_code for one in (first, first, second)] == [200, 422, 200]
        heard = {next(lines), next(lines)}  # nothing is promised between orders
        code, out, err = finished("endpoint", "test", endpoint, environment=settings)
        assert (code, out.startswith("Delivered evt_"), err) == (0, True, "")
        last = next(lines)
    assert {line.split("; evt_")[0] for line in heard} == {
        f"order.cancelled of connect-{order_id}, version 2" for order_id in (first, second)
    }
    assert all(line.endswith("signature unchecked; answered 204\n") for line in heard)
    assert last.startswith("endpoint.test, version 1; ")  # so the refused cancellation brought no event
    assert finished("endpoint", "remove", endpoint, environment=settings)[0] == 0


def exported(demo: Demo) -> dict[str, str]:
    """The settings that a terminal has after `countermand demo --env`."""
    code, out, err = finished("demo", "--env", "--data-dir", str(demo.folder), environment={})
    assert (code, err) == (0, "")
    words = (shlex.split(line)[1].partition("=") for line in out.splitlines())
    return {name: value for name, _, value in words if name.startswith("COUNTERMAND_")}


@contextmanager
def a_listener(settings: dict[str, str]) -> Iterator[tuple[str, Iterator[str]]]:
    """A receiver in a process of its own: its address, and the lines that it prints."""
    process = forked("webhook", "listen", "--port", "0", environment=settings)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout as printed, process.stderr:
        try:
            yield next(printed).split()[-1], printed
        finally:
            process.terminate()
            process.wait(LIMIT_S)
