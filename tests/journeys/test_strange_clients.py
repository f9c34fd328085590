"""Clients as they are, with their default settings: programs of the machine over real HTTP to `countermand serve`."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from countermand.bootstrap import utc_now
from support.serving import a_server
from support.world import World, a_world

CANCEL = "/api/connect/orders/cancel"
JAVA = Path(__file__).parents[1] / "java" / "Cancel.java"
LIMIT_S = 120  # only guards against hanging


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        made.clock.now = utc_now()
        yield made


@pytest.mark.needs("java")
async def test_javas_client_cancels_orders_with_its_default_settings(world: World):
    partner = await world.connect_client()
    orders = [await world.service_order(partner) for _ in range(3)]
    credential = world.connect_headers(partner)["Authorization"]
    with a_server(world, log_format="json") as server:
        arguments = [server.here + CANCEL, credential, *map(str, orders)]
        told = subprocess.run(
            ["java", str(JAVA), *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        # each order twice, with a length and in chunks: the second time it is cancelled already
        assert told.stdout.splitlines() == ["200 HTTP_1_1", "422 HTTP_1_1"] * 3, told.stderr
        assert "Traceback" not in server.log
    assert [len(await world.rows("cancellations", order_id)) for order_id in orders] == [1] * 3


@pytest.mark.needs("curl")
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "asks before its body"])
async def test_curl_that_prefers_http2_cancels_an_order(world: World, *, chunked: bool, waits: bool):
    partner = await world.connect_client()
    order_id = await world.service_order(partner)
    headers = world.connect_headers(partner)
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    if waits:
        headers["Expect"] = "100-continue"
    fields = [option for name, value in headers.items() for option in ("--header", f"{name}: {value}")]
    with a_server(world, log_format="json") as server:
        order = json.dumps({"orderId": order_id})
        more = ["--silent", "--show-error", "--noproxy", "*", "--max-time", str(LIMIT_S), "--data", order]
        form = ["--write-out", "\n%{http_code} %{http_version} %{num_connects}\n"]
        told = subprocess.run(
            ["curl", "--http2", *more, *form, *fields, server.here + CANCEL, server.here + CANCEL],
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        first, again = (line for line in told.stdout.splitlines() if line.endswith((" 0", " 1")))
        assert (first, again) == ("200 1.1 1", "422 1.1 0"), told  # one connection for both
        assert "Traceback" not in server.log
    assert len(await world.rows("cancellations", order_id)) == 1
