"""Every answer is reported by one piece of code, whatever road it took."""

import ast
import asyncio
import json
import re
from pathlib import Path

import pytest

from support.world import a_world

SOURCE = Path(__file__).parents[2] / "src" / "countermand"

Captured = pytest.CaptureFixture[str]

# By road: a request, its status, and the method and route under which it is reported.
ROADS = {
    "the front": (("POST", "/api/connect/orders/cancel"), 401, ("POST", "/api/connect/orders/cancel")),
    "the front, another method": (("GET", "/ordercancellation"), 405, ("other", "/ordercancellation/")),
    "a call": (("GET", "/orders/1"), 401, ("GET", "/orders/{uid}")),
    "a call for everybody": (("GET", "/status"), 200, ("GET", "/status")),
    "a page": (("GET", "/docs/shopping"), 200, ("GET", "/docs/{name}")),
    "a page that is not there": (("GET", "/docs/nothing"), 404, ("other", "none")),
    "a page of a buyer": (("GET", "/etickets/1"), 404, ("GET", "/etickets/{token}")),
    "health": (("GET", "/healthz"), 200, ("GET", "/healthz")),
    "metrics": (("GET", "/metrics"), 200, ("GET", "/metrics")),
    "no address of ours": (("GET", "/api/connect/nowhere"), 404, ("other", "none")),
    "a method of no call": (("PATCH", "/orders"), 405, ("other", "none")),
}


async def test_each_road_gives_the_callers_id_back_and_has_one_line(tmp_path: Path, capsys: Captured):
    async with a_world(tmp_path, log_level="debug", log_format="json") as world:
        answers = {
            road: await world.http.request(*asked, headers={"X-Request-Id": road.replace(" ", "-")})
            for road, (asked, _, _) in ROADS.items()
        }
        await asyncio.sleep(0)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [line for line in lines if line["event"] == "request"]
    assert len(told) == len(ROADS)
    for line, (road, (_, status, (method, route))) in zip(told, ROADS.items(), strict=True):
        asked_as = road.replace(" ", "-")
        assert (road, answers[road].status_code, answers[road].headers["x-request-id"]) == (road, status, asked_as)
        assert (line["request_id"], line["status"]) == (asked_as, status)
        assert (road, line["method"], line["route"]) == (road, method, route)


async def test_each_road_makes_up_an_id_for_a_request_without_one_that_holds(tmp_path: Path, capsys: Captured):
    given: tuple[dict[str, str], ...] = ({}, {"X-Request-Id": ""}, {"X-Request-Id": "a" * 129}, {"X-Request-Id": "a b"})
    async with a_world(tmp_path, log_level="debug", log_format="json") as world:
        told = []
        for asked, status, _ in ROADS.values():
            for headers in given:
                answer = await world.http.request(*asked, headers=headers)
                assert answer.status_code == status
                told.append(answer.headers["x-request-id"])
        await asyncio.sleep(0)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert told == [line["request_id"] for line in lines if line["event"] == "request"]
    assert len(set(told)) == len(ROADS) * len(given)
    assert all(re.fullmatch("[0-9a-f]{12}-[0-9a-f]+", one) for one in told)


def test_only_the_report_of_a_request_counts_it_and_names_it():
    reports, names = set(), set()
    for path in (SOURCE / "web").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        if any(isinstance(call, ast.Attribute) and call.attr in {"answered", "new_id"} for call in calls):
            reports.add(path.name)
        if re.search(r'b"x-request-id', text):
            names.add(path.name)

    assert reports == names == {"reporting.py"}
