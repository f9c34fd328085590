"""Lists that a person at the desk works through: pages, CSV, JSON lines, filters, and no formula in a spreadsheet."""

import csv
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from countermand.contracts.manage import desk_lists
from countermand.storage.repositories import desk_lists as rows_of_lists
from countermand.storage.tables.cancelling import refusals
from countermand.storage.tables.columns import instant
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, fields, manage, problem
from support.shared_world import shared_world
from support.world import NOON, Caller, World

world = shared_world

CSV, LINES = "text/csv", "application/x-ndjson"
LISTS = {
    "cancellations": "cancellations",
    "refusals": "refusals",
    "late-payments": "late_payments",
    "part-payments": "part_payments",
}


async def listed(world: World, operator: Caller, path: str, accept: str = "application/json") -> httpx.Response:
    headers = {**world.manage_headers(operator), "Accept": accept}
    return await world.http.get(f"/manage/v1/{path}", headers=headers)


async def page(world: World, operator: Caller, path: str) -> list[dict[str, Any]]:
    answer = await listed(world, operator, path)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()[LISTS[path.partition("?")[0]]]
    return rows


async def every_page(world: World, operator: Caller, name: str, query: str = "") -> list[dict[str, Any]]:
    rows, after, pages = [], "", 0
    while after is not None:
        answer = (await listed(world, operator, f"{name}?{query}{after}")).json()
        rows += answer[LISTS[name]]
        after = None if answer["next"] is None else f"&after={answer['next']}"
        pages += 1
    assert pages > 1
    return rows


async def a_day_at_the_desk(world: World) -> tuple[Caller, Caller, Caller]:
    """Some of everything, at an instant each."""
    me, shop, operator = await world.connect_client(), await world.shopping_client(), await world.manage_client()
    for number in range(5):
        world.clock.forward(minutes=1)
        await world.cancel(me, await world.service_order(me), reason=f"reason {number}")
        late = await world.service_order(me, appointment_in=timedelta(hours=2))
        await world.cancel(me, late)
        ticket = await world.ticket_order(shop)
        await world.cancel(shop, ticket.order.id)
        world.clock.forward(minutes=1)
        await world.cancel(shop, ticket.order.id)
        money = {**PAYMENT, "reference": f"late {number}"}
        assert (await manage(world, operator, "POST", f"{ticket.order.uid}/payments", money)).status_code == 409
        part = await world.ticket_order(shop, quantity=4)
        money = {"reference": f"part {number}", "amount": 20, "currency": "EUR"}
        assert (await manage(world, operator, "POST", f"{part.order.uid}/payments", money)).status_code == 201
    return me, shop, operator


async def test_every_list_has_its_rows_and_no_others(world: World):
    me, shop, operator = await a_day_at_the_desk(world)
    before = await contents(world)
    cancelled = await page(world, operator, "cancellations")
    assert len(cancelled) == 10
    assert [one["reason"] for one in cancelled if one["contract"] == "connect"] == [f"reason {n}" for n in range(5)]
    assert {one["client_name"] for one in cancelled} == {me.client.name, shop.client.name}
    refused = await page(world, operator, "refusals")
    assert [one["codes"] for one in refused] == [
        ["order_already_cancelled", "order_not_cancellable"],
        ["appointment_within_notice"],
    ] * 5
    assert [one["decided_at"] for one in refused] == sorted((one["decided_at"] for one in refused), reverse=True)
    late = await page(world, operator, "late-payments")
    assert [one["reference"] for one in late] == [f"late {number}" for number in (4, 3, 2, 1, 0)]
    assert {(one["order_state"], one["amount_minor"], one["currency"]) for one in late} == {("cancelled", 2500, "EUR")}
    part = await page(world, operator, "part-payments")
    assert [(one["total_minor"], one["paid_minor"], one["left_minor"]) for one in part] == [(5000, 2000, 3000)] * 5
    for one in (*cancelled, *refused, *late, *part):
        found = await manage(world, operator, "GET", one["order_id"])
        assert found.status_code == 200
    assert not changed(before, await contents(world))


async def test_pages_csv_and_lines_have_the_same_rows_each_once(world: World, monkeypatch: pytest.MonkeyPatch):
    *_, operator = await a_day_at_the_desk(world)
    monkeypatch.setattr(desk_lists, "PAGE", 2)
    monkeypatch.setattr(desk_lists, "_STREAMED_AT_ONCE", 3)
    for name in LISTS:
        rows = await every_page(world, operator, name)
        assert len(rows) in (5, 10)
        assert len({json.dumps(row) for row in rows}) == len(rows)
        lines = await listed(world, operator, name, LINES)
        assert lines.headers["content-type"] == LINES
        assert [json.loads(line) for line in lines.text.splitlines()] == rows
        table = await listed(world, operator, name, CSV)
        assert table.headers["content-type"] == "text/csv; charset=utf-8"
        assert "content-length" not in table.headers
        assert table_of(table) == [{key: cell(value) for key, value in row.items()} for row in rows]
        head = await world.http.head(f"/manage/v1/{name}", headers={**world.manage_headers(operator), "Accept": CSV})
        assert (head.status_code, head.content) == (200, b"")


def cell(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else "" if value is None else str(value)


def table_of(answer: httpx.Response) -> Sequence[dict[str, str]]:
    return list(csv.DictReader(StringIO(answer.text, newline="")))


async def test_where_few_rows_meet_the_filters_a_page_is_short_and_has_a_next(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    me, shop, operator = await a_day_at_the_desk(world)
    monkeypatch.setattr(rows_of_lists, "LOOKED_AT", 3)
    for name, query, number in [
        ("cancellations", f"client={me.client.id}&", 5),
        ("part-payments", f"client={shop.client.id}&", 5),
        ("refusals", "code=appointment_within_notice&", 5),
        ("refusals", f"client={operator.client.id}&", 0),
        ("refusals", "contract=nobody&", 0),
        ("late-payments", f"client={me.client.id}&", 0),
    ]:
        assert len(await page(world, operator, f"{name}?{query.rstrip('&')}")) <= 3, name
        assert len(await every_page(world, operator, name, query)) == number
        streamed = await listed(world, operator, f"{name}?{query.rstrip('&')}", LINES)
        assert len(streamed.text.splitlines()) == number


async def test_filters_select_by_contract_client_code_and_time(world: World):
    me, shop, operator = await a_day_at_the_desk(world)
    from_ = (NOON + timedelta(minutes=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for query, number in [
        ("cancellations?contract=shopping", 5),
        (f"cancellations?client={me.client.id}", 5),
        (f"cancellations?client={operator.client.id}", 0),
        (f"cancellations?from={from_}", 8),
        (f"cancellations?until={from_}", 2),
        ("refusals?code=payment_recorded", 0),
        ("refusals?code=order_already_cancelled", 5),
        ("refusals?code=order", 0),
        (f"refusals?contract=connect&from={from_}", 4),
        (f"refusals?until={from_}", 2),
        (f"late-payments?client={shop.client.id}&from={from_}", 4),
        ("late-payments?contract=connect", 0),
        (f"part-payments?contract=shopping&until={from_}", 1),
    ]:
        assert len(await page(world, operator, query)) == number, query


async def test_refusals_without_codes_are_found_by_the_code_of_their_decision(world: World):
    *_, operator = await a_day_at_the_desk(world)
    async with world.database.store.transaction() as tx:
        await tx.run(update(refusals).values(codes=None))
    found = await page(world, operator, "refusals?code=appointment_within_notice")
    assert [one["codes"] for one in found] == [["appointment_within_notice"]] * 5
    counted = (await listed(world, operator, "refusals/reasons")).json()
    assert (counted["reasons"], counted["refusals"]) == ([{"code": None, "count": 10}], 10)


async def test_reasons_are_counted_by_code(world: World):
    me, _, operator = await a_day_at_the_desk(world)
    counted = (await listed(world, operator, "refusals/reasons")).json()
    assert counted["refusals"] == 10
    assert {one["code"]: one["count"] for one in counted["reasons"]} == {
        "appointment_within_notice": 5,
        "order_already_cancelled": 5,
        "order_not_cancellable": 5,
    }
    of_client = (await listed(world, operator, f"refusals/reasons?client={me.client.id}")).json()
    assert of_client["reasons"] == [{"code": "appointment_within_notice", "count": 5}]
    assert of_client["refusals"] == 5
    assert (await listed(world, operator, "refusals/reasons?until=2026-11-21T12:00:00Z")).json() == {
        "reasons": [],
        "refusals": 0,
        "counted_from": "2026-11-14T12:00:00Z",
    }


async def test_reasons_are_counted_for_a_limited_time_and_number_and_the_answer_says_from_when_on(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    *_, operator = await a_day_at_the_desk(world)
    instants = sorted(instant(row["decided_at"]) for row in await world.rows("refusals"))
    assert len(set(instants)) == 10

    async def counted(query: str = "") -> tuple[int, datetime]:
        answer = (await listed(world, operator, f"refusals/reasons{query}")).json()
        assert sum(one["count"] for one in answer["reasons"]) >= answer["refusals"]
        return answer["refusals"], datetime.fromisoformat(answer["counted_from"])

    now, week, moment = world.clock(), timedelta(days=7), timedelta(microseconds=1)
    assert await counted() == (10, now - week)
    assert await counted("?from=2026-11-21T00:00:00Z") == (10, datetime.fromisoformat("2026-11-21T00:00:00Z"))
    world.clock.now = instants[0] + week
    assert await counted() == (10, instants[0])
    world.clock.now = instants[0] + week + moment
    assert await counted() == (9, instants[0] + moment)
    monkeypatch.setattr(rows_of_lists, "LOOKED_AT", 9)
    assert await counted() == (9, instants[0] + moment)
    monkeypatch.setattr(rows_of_lists, "LOOKED_AT", 8)
    assert await counted() == (8, instants[1] + moment)
    assert await counted("?from=2026-11-21T00:00:00Z&contract=nobody") == (0, instants[1] + moment)


async def test_no_text_of_a_caller_becomes_a_formula(world: World):
    me, operator = await world.connect_client("=cmd|' /C calc'!A0"), await world.manage_client()
    for reason in ("=1+1", "+1", "-1", "@x", "\t=1", "  =1", 'said, "no"\r\n=2', "plain"):
        await world.cancel(me, await world.service_order(me), reason=reason)
    rows = table_of(await listed(world, operator, "cancellations", CSV))
    assert [row["reason"] for row in rows] == [
        *("'=1+1", "'+1", "'-1", "'@x", "'\t=1", "'  =1"),
        *('said, "no"\r\n=2', "plain"),
    ]
    assert {row["client_name"] for row in rows} == {"'=cmd|' /C calc'!A0"}
    shown = await page(world, operator, "cancellations")
    assert shown[0]["reason"] == "=1+1"


async def test_what_is_wrong_in_the_query_is_named(world: World):
    operator = await world.manage_client()
    for name in LISTS:
        answer = await listed(world, operator, f"{name}?from=soon&until=2026-11-21&client=me&contract=A-B&from=x")
        assert sorted(fields(answer)) == ["client", "contract", "from", "until"]
        for after in ("x", "", "1_2", "-1", "9" * 30, f"{2**63}", f"{2**63}_1_a", f"1_{2**63}_a", "1_1_a%00", "a_1_b"):
            assert fields(await listed(world, operator, f"{name}?after={after}", CSV)) == ["after"], after
        for client in (2**31, 2**63, "0" * 19 + "9" * 19, "%00", "٣"):
            assert fields(await listed(world, operator, f"{name}?client={client}")) == ["client"], client
        told = (await listed(world, operator, f"{name}?after={'x' * 5000}")).json()["detail"]
        assert told == f'after must be the next of an earlier page, not "{"x" * 58}…'
    assert fields(await listed(world, operator, "cancellations?code=payment_recorded")) == ["code"]


async def test_an_empty_list_is_empty_in_every_form(world: World):
    operator = await world.manage_client()
    for name, key in LISTS.items():
        assert (await listed(world, operator, name)).json() == {key: [], "next": None}
        assert (await listed(world, operator, name, LINES)).text == ""
        assert len((await listed(world, operator, name, CSV)).text.splitlines()) == 1


async def test_a_browser_and_whoever_accepts_anything_get_json(world: World):
    operator = await world.manage_client()
    for accept in ("*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "application/*", "image/png", ""):
        answer = await listed(world, operator, "refusals", accept)
        assert answer.headers["content-type"] == "application/json", accept
    assert problem(await listed(world, await world.manage_client(permissions=frozenset()), "refusals", CSV))[0] == 403
