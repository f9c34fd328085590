"""Clients that openapi-generator makes from the documents: Python works beside a server, TypeScript compiles."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from countermand.domain.orders.order import OrderUid, order_id_of
from support.clients import FOLDER, PACKAGES, on_node, with_python
from support.demo_orders import is_cancelled
from support.processes import Demo, a_demo

pytestmark = pytest.mark.needs("java")

GENERATOR = "from openapi_generator_cli import cli; cli()"
COMPILER = Path(__file__).parents[1] / "node" / "node_modules" / "typescript" / "bin" / "tsc"
STRICTLY = ("--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--lib", "es2022,dom")
MODULE = ("--module", "esnext", "--moduleResolution", "bundler")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("generated") / "demo") as demo:
        yield demo


def generated(demo: Demo, name: str, generator: str, folder: Path, *more: str) -> None:
    """Make a client in the folder from the document that the running server publishes."""
    document = folder / f"{name}.json"
    with demo.client() as http:
        document.write_bytes(http.get(f"/docs/{name}/openapi.json").raise_for_status().content)
    arguments = ("generate", "-i", str(document), "-g", generator, "-o", str(folder), *more)
    with_python("-c", GENERATOR, *arguments, folder=folder)


def test_a_partner_and_a_shop_with_its_python_order_cancel_and_read_refusals(running: Demo, tmp_path: Path):
    for name in ("connect", "shopping"):
        generated(running, name, "python", tmp_path, "--additional-properties", f"packageName={name}")

    seen = json.loads(
        with_python(FOLDER / "openapi_generator_journey.py", running.folder / "demo.json", folder=tmp_path)
    )

    assert is_cancelled(running, seen.pop("service order"))
    assert is_cancelled(running, order_id_of(OrderUid(seen.pop("ticket order"))))
    assert seen == {
        "service": ["cancelled", 422, "order_not_cancellable"],
        "ticket": ["pending", "cancelled", 409, "ORDER_ALREADY_CANCELED"],
    }


@pytest.mark.parametrize("name", ["connect", "shopping", "manage"])
def test_its_typescript_for_axios_compiles_and_has_the_orders_and_their_links(name: str, running: Demo, tmp_path: Path):
    generated(running, name, "typescript-axios", tmp_path)
    (tmp_path / "node_modules").symlink_to(PACKAGES)

    on_node(COMPILER, *STRICTLY, *MODULE, "index.ts", folder=tmp_path)

    types = (tmp_path / "api.ts").read_text(encoding="utf-8")
    assert "export interface Order {" in types
    assert name != "shopping" or "'_links': Links;" in types
    assert name != "shopping" or "'_embedded': EmbeddedInOrder;" in types
