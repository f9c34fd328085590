"""Clients that openapi-python-client makes from the documents work beside a real server, and every answer is typed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from countermand.domain.orders.order import OrderUid, order_id_of
from support.clients import FOLDER, with_python
from support.demo_orders import is_cancelled
from support.processes import Demo, a_demo

pytestmark = pytest.mark.slow

NAMES = ("connect", "shopping", "manage", "partner", "tokens")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("generated") / "demo") as demo:
        yield demo


def document(demo: Demo, name: str, folder: Path) -> Path:
    with demo.client() as http:
        saved = folder / f"{name}.json"
        saved.write_bytes(http.get(f"/docs/{name}/openapi.json").raise_for_status().content)
    return saved


def test_openapi_python_client_leaves_nothing_out_and_its_clients_order_cancel_and_read_refusals(
    running: Demo, tmp_path: Path
):
    for name in NAMES:
        saved = str(document(running, name, tmp_path))
        how = ("--output-path", name, "--meta", "none", "--fail-on-warning")
        said = with_python("-m", "openapi_python_client", "generate", "--path", saved, *how, folder=tmp_path)
        assert said == f"Generating {name}\n"

    said = with_python(FOLDER / "openapi_python_client_journey.py", running.folder / "demo.json", folder=tmp_path)

    seen = json.loads(said)
    assert is_cancelled(running, seen.pop("service order"))
    assert is_cancelled(running, order_id_of(OrderUid(seen.pop("ticket order"))))
    assert seen == {
        "token refused": "invalid_client",
        "service refusals": ["order_not_cancellable", "appointment_within_notice"],
        "service status": "cancelled",
        "ticket statuses": ["pending", "cancelled", "cancelled"],
        "ticket refusals": ["ORDER_ALREADY_CANCELED", "FORBIDDEN", "PAYMENT_RECORDED"],
        "operator": ["currency", False, 1],
    }
