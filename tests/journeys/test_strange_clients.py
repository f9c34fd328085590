"""Clients as they are, over real HTTP to `countermand serve`, and proxies that take the lines written for them."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from countermand.bootstrap.clock import utc_now
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


async def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A program of others, beside the loop."""
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


@pytest.mark.needs("java")
async def test_javas_client_cancels_orders_with_its_default_settings(world: World):
    partner = await world.connect_client()
    orders = [await world.service_order(partner) for _ in range(3)]
    credential = world.connect_headers(partner)["Authorization"]
    with a_server(world, log_format="json") as server:
        arguments = [server.here + CANCEL, credential, *map(str, orders)]
        told = await run(["java", str(JAVA), *arguments])
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
        told = await run(["curl", "--http2", *more, *form, *fields, server.here + CANCEL, server.here + CANCEL])
        first, again = (line for line in told.stdout.splitlines() if line.endswith((" 0", " 1")))
        assert (first, again) == ("200 1.1 1", "422 1.1 0"), told  # one connection for both
        assert "Traceback" not in server.log
    assert len(await world.rows("cancellations", order_id)) == 1


OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


@pytest.mark.needs("haproxy")
def test_haproxy_takes_the_lines_for_it(tmp_path: Path):
    (lines,) = re.findall(r"```haproxy\n(.*?)```", OPERATIONS, re.DOTALL)
    file = tmp_path / "haproxy.cfg"
    door = f"frontend door\n  bind unix@{tmp_path}/socket\n  default_backend countermand\n"
    file.write_text("defaults\n  mode http\n  timeout client 90s\n" + door + lines)
    told = subprocess.run(["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert (told.returncode, "ALERT" in told.stderr, "WARNING" in told.stderr) == (0, False, False), told.stderr


@pytest.mark.needs("nginx")
def test_nginx_takes_the_lines_for_it(tmp_path: Path):
    lines = next(block for block in re.findall(r"```nginx\n(.*?)```", OPERATIONS, re.DOTALL) if "upstream" in block)
    here = lines.replace("listen 443 ssl;", f"listen unix:{tmp_path}/socket;")  # without a certificate
    assert here != lines
    folders = "".join(
        f"{name}_temp_path {tmp_path};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = tmp_path / "nginx.conf"
    file.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{folders}{here}}}\n")
    told = subprocess.run(
        ["nginx", "-t", "-c", str(file), "-e", str(tmp_path / "log")], capture_output=True, text=True, check=False
    )
    assert (told.returncode, "[warn]" in told.stderr) == (0, False), told.stderr
