"""One line a request: what it says, what it never says, and what writing it may not break."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermand.actions import errors
from countermand.actions.errors import CountermandError
from countermand.contracts.http import answer
from countermand.domain.staff import Role
from countermand.telemetry.counts import Counts
from countermand.telemetry.request_lines import RequestLines, pieces_of
from countermand.telemetry.requests import Requests, RouteReports, counted_ids
from countermand.web.request_log import OUTCOMES
from support.world import a_world

Captured = pytest.CaptureFixture[str]

CONNECT = "/api/connect/orders/cancel"
FIELDS = {
    *("timestamp", "level", "event", "request_id", "method", "route", "status", "outcome", "duration_ms"),
    *("code", "client", "order", "worker", "staff", "acting_as", "channel", "address"),
}
# On purpose without a word: nobody ever answers with them, so a caller who hears one has found a bug.
_INWARD = {
    errors.TransientConflictError,
    errors.UnfitDataError,
    errors.TakenError,
    errors.OrderTakenError,
    errors.KeyTakenError,
    errors.SchemaError,
}


async def test_a_line_says_who_asked_what_of_which_order_and_what_became_of_it(tmp_path: Path, capsys: Captured):
    async with a_world(tmp_path, log_level="info", log_format="json") as world:
        partner, shop, operator = (
            await world.connect_client(),
            await world.shopping_client(),
            await world.manage_client(),
        )
        order, ticket = await world.service_order(partner), await world.ticket_order(shop)
        headers = world.connect_headers(partner, X_Request_Id="asked-1")
        for wanted in (200, 422):
            assert (await world.http.post(CONNECT, headers=headers, json={"orderId": order})).status_code == wanted
        path = f"/orders/{ticket.order.uid}"
        assert (await world.http.get(path, headers=world.shopping_headers(shop))).status_code == 200
        cancelled = await world.http.post(
            f"/manage/v1/orders/{ticket.order.uid}/cancel",
            headers=world.manage_headers(operator),
            json={"reason": "The customer rang"},
        )
        assert cancelled.status_code == 200
        assert (await world.http.post(CONNECT, json={})).status_code == 401
        assert (await world.http.get("/nowhere")).status_code == 404
        assert (await world.http.get("/healthz")).status_code == 200
        await asyncio.sleep(0)

    told = lines_of(capsys.readouterr().err)
    assert all(line.keys() <= FIELDS and line["event"] == "request" for line in told)
    assert all(line["duration_ms"] > 0 for line in told)
    assert {line.pop("address") for line in told} == {"127.0.0.1"}
    channels = [line.pop("channel", None) for line in told]
    assert channels == ["connect", "connect", "shopping", "manage", "connect", None]
    connect = {"method": "POST", "route": CONNECT, "client": partner.client.id, "order": f"connect-{order}"}
    assert [without(line, "timestamp", "event", "duration_ms", "level") for line in told] == [
        connect | {"request_id": "asked-1", "status": 200, "outcome": "cancelled"},
        connect | {"request_id": "asked-1", "status": 422, "outcome": "refused", "code": "order_not_cancellable"},
        {
            "method": "GET",
            "route": "/orders/{uid}",
            "client": shop.client.id,
            "order": f"shopping-{ticket.order.uid}",
            "status": 200,
            "outcome": "done",
            "request_id": told[2]["request_id"],
        },
        {
            "method": "POST",
            "route": "/manage/v1/orders/{id}/cancel",
            "client": operator.client.id,
            "order": ticket.order.uid,
            "status": 200,
            "outcome": "cancelled",
            "request_id": told[3]["request_id"],
        },
        {
            "method": "POST",
            "route": CONNECT,
            "status": 401,
            "outcome": "unauthorized",
            "request_id": told[4]["request_id"],
        },
        {
            "method": "other",
            "route": "none",
            "status": 404,
            "outcome": "not_found",
            "request_id": told[5]["request_id"],
        },
    ], "and none for /healthz, which is asked all day"
    assert len({line["request_id"] for line in told}) == len(told) - 1, "an id of ours names one request alone"


async def test_an_order_that_is_placed_is_named_by_the_id_it_got(tmp_path: Path, capsys: Captured):
    async with a_world(tmp_path, log_level="info", log_format="json") as world:
        shop = await world.shopping_client()
        product, method = await world.product(), await world.payment_method()
        asked = {
            "products": [{"product": f"http://shop.test/products/{product}", "quantity": 1}],
            "payment_method": method,
            "consumer": {"first_name": "Jo", "last_name": "Visitor", "email": "jo@example.com", "country": "NL"},
        }
        created = await world.http.post("/orders", headers=world.shopping_headers(shop), json=asked)
        assert created.status_code == 201
        (placed,) = await world.rows("order_details")
        await asyncio.sleep(0)

    written = capsys.readouterr().err
    (line,) = lines_of(written)
    assert (line["route"], line["order"], line["status"]) == ("/orders", f"shopping-{placed['uid']}", 201)
    assert [one for one in ("Jo", "Visitor", "example", shop.key, shop.secret) if one in written] == []


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        ({"log_level": "debug"}, ["info", "info", "warning", "error", "debug"]),
        ({"log_level": "info"}, ["info", "info", "warning", "error"]),
        ({"log_level": "warning"}, ["warning", "error"]),
        ({"log_level": "error"}, ["error"]),
        ({"log_level": "info", "log_requests": False}, ["warning", "error"]),
    ],
)
async def test_what_is_worth_a_line_is_set_by_the_level_and_by_a_switch(
    settings: dict[str, Any],
    levels: list[str],
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
):
    async with a_world(tmp_path, log_format="json", **settings) as world:
        partner = await world.connect_client()
        headers, order = world.connect_headers(partner), await world.service_order(partner)

        async def cancel() -> int:
            return (await world.http.post(CONNECT, headers=headers, json={"orderId": order})).status_code

        async def fail(error: Exception) -> int:
            async def submit(_: object) -> None:
                raise error

            with monkeypatch.context() as here:
                here.setitem(vars(world.service.commit), "submit", submit)
                return await cancel()

        assert [await cancel(), await cancel()] == [200, 422]
        assert await fail(errors.UnavailableError("full")) == 503
        assert await fail(errors.OutcomeUnknownError("cut off")) == 500
        assert (await world.http.get("/healthz")).status_code == 200
        await asyncio.sleep(0)

    assert [line["level"] for line in lines_of(capsys.readouterr().err)] == levels


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_nobody_writes_a_line_or_a_field_of_their_own(log_format: str, tmp_path: Path, capsys: Captured):
    forged = 'x"} \n{"event": "forged"} level=forged outcome=forged\r\n\x1b[31m'
    async with a_world(tmp_path, log_format=log_format, log_level="debug") as world:
        partner = await world.connect_client()
        headers = world.connect_headers(partner)
        for given in ('a"b', "a\\nb", 'forged="1"', "two words outcome=forged"):
            sent = headers | {"X-Request-Id": given}
            assert (await world.http.post(CONNECT, headers=sent, json={"orderId": forged})).status_code == 422
        for path in (f"/api/connect/orders/{quote(forged)}", f"/{quote(forged)}"):
            assert (await world.http.get(path, headers=headers)).status_code == 404
        assert (await world.http.request("FORGED outcome=forged", CONNECT, headers=headers)).status_code == 405
        await asyncio.sleep(0)

    written = capsys.readouterr().err
    assert len(written.splitlines()) == 7
    if log_format == "json":
        assert all(line.keys() <= FIELDS and line["outcome"] != "forged" for line in lines_of(written))
    else:
        assert [word for word in written.split() if word in {"outcome=forged", "level=forged"}] == []
        assert written.count("outcome=") == 7
    assert "\x1b" not in written


async def test_the_lines_of_one_turn_are_one_write_and_a_log_that_cannot_be_written_stops_nobody():
    written: list[str] = []
    lines = RequestLines("json", write=written.append)
    for number in range(3):
        add(lines, str(number))
    assert written == []
    await asyncio.sleep(0)
    assert [line["request_id"] for line in map(json.loads, written[0].splitlines())] == ["0", "1", "2"]
    assert len(written) == 1

    def full(_: str) -> None:
        raise OSError(28, "No space left on device")

    lines = RequestLines("text", write=full)
    add(lines, "lost")
    lines.flush()


async def test_what_was_not_written_yet_is_written_at_the_end():
    written: list[str] = []
    lines = RequestLines("text", write=written.append)
    add(lines, "last-words")
    lines.flush()
    assert "request_id=last-words\n" in written[0]
    await asyncio.sleep(0)
    assert len(written) == 1


async def test_of_several_workers_each_names_itself_and_writes_whole_lines_in_pieces_that_do_not_mix():
    written: list[str] = []
    lines = RequestLines("json", worker=2, write=written.append)
    for number in range(100):
        add(lines, f"{number:0128}")
    lines.flush()

    assert len(written) > 1
    assert all(len(piece.encode()) <= 4096 and piece.endswith("\n") for piece in written)
    told = [json.loads(line) for piece in written for line in piece.splitlines()]
    assert [int(line["request_id"]) for line in told] == list(range(100))
    assert {line["worker"] for line in told} == {2}


@given(st.lists(st.integers(0, 9000)))
def test_pieces_are_all_there_is_in_whole_lines(lengths: list[int]):
    lines = "".join("x" * length + "\n" for length in lengths)
    pieces = pieces_of(lines)
    assert "".join(pieces) == lines
    assert all(piece.endswith("\n") for piece in pieces if lines)
    assert all(len(piece) <= 4096 or piece.count("\n") == 1 for piece in pieces)


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_a_line_names_the_person_of_the_token_and_the_person_whom_a_client_acts_for(
    tmp_path: Path, capsys: Captured, log_format: str
):
    async with a_world(tmp_path, log_level="info", log_format=log_format) as world:
        console = await world.manage_client()
        kim = await world.person("kim", Role.VIEWER, client=console)
        for headers in (
            world.manage_headers(kim),
            world.manage_headers(console, Acting_As="kim"),
            world.manage_headers(console),
            world.manage_headers(console, Acting_As="order=1"),
        ):
            await world.http.get("/manage/v1/appointment-tasks", headers=headers)
        await asyncio.sleep(0)
    written = capsys.readouterr().err
    assert kim.secret not in written
    if log_format == "json":
        told = [(line["client"], line.get("staff"), line.get("acting_as")) for line in lines_of(written)]
        called = console.client.id
        assert told == [(called, "kim", None), (called, None, "kim"), (called, None, None), (called, None, None)]
    else:
        assert (written.count(" staff=kim"), written.count(" acting_as=kim"), written.count("order=1")) == (1, 1, 0)


async def test_a_line_of_text_has_the_channel_and_the_address():
    (reports, written) = reports_at("info")
    reports.answered("r-1", 0.0, 200, "done", client=7, order="connect-1", scope={"client": ("203.0.113.7", 4711)})
    reports.answered("r-2", 0.0, 200, "done", scope={"client": None})
    reports.answered("r-3", 0.0, 200, "done", scope={"client": ("", 0)})
    first, *others = written()
    assert " channel=connect client=7 order=connect-1 address=203.0.113.7 request_id=r-1" in first
    assert all(" channel=connect request_id=r-" in line and "address" not in line for line in others)


async def test_nothing_of_the_connection_is_read_for_a_request_without_a_line():
    class NeverRead(dict[str, object]):
        def get(self, *_: object) -> object:
            raise AssertionError("the address was read")

    (reports, written) = reports_at("warning")
    reports.answered("r-1", 0.0, 200, "done", scope=NeverRead())
    assert written() == []
    with pytest.raises(AssertionError, match="the address was read"):
        reports.answered("r-2", 0.0, 500, "failed", scope=NeverRead())


def test_there_is_a_word_for_how_every_error_of_ours_ends_a_request():
    ours = {
        kind
        for module in (errors, answer)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, CountermandError) and kind is not CountermandError
    }
    assert set(OUTCOMES) | _INWARD == ours
    assert set(OUTCOMES) & _INWARD == set()


def reports_at(level: Literal["info", "warning"]) -> tuple[RouteReports, Callable[[], list[str]]]:
    """Return the reports of a route of connect, and what returns the lines of text that were written."""
    written: list[str] = []
    lines = RequestLines("text", write=written.append)
    requests = Requests(counts=Counts("0"), lines=lines, level=level, each=True, new_id=counted_ids())

    def flushed() -> list[str]:
        lines.flush()
        return "".join(written).splitlines()

    return requests.route("GET", "/api/connect/orders", channel="connect"), flushed


def add(lines: RequestLines, request_id: str) -> None:
    lines.add("info", request_id, "POST", CONNECT, 200, "cancelled", 0.001, "", 7, "42")


def lines_of(written: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in written.splitlines()]
    return [line for line in told if line["event"] == "request"]


def without(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in names}
