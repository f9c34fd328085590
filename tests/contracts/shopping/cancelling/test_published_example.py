"""The request printed on the published page is answered as printed there."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.domain.orders.order import order_id_of
from support.shopping_golden import API, SOLD, STOCK, UID, a_published_world, seed_printed_order
from support.world import Caller, World

_GOLDEN = Path(__file__).parent / "golden"
_REQUEST = (_GOLDEN / "order_cancellation_request.json").read_bytes()
_ANSWER = (_GOLDEN / "order_cancellation_answer.json").read_bytes()

# Ours, beside what is printed. Anything else that is not on the page is a failure.
_OUR_LINKS = ["payment_url", "shop:cancellability"]


@pytest_asyncio.fixture(params=["front", "framework"])
async def published(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[tuple[World, Caller]]:
    async with a_published_world(tmp_path, with_front=request.param == "front") as world:
        owner = await world.shopping_client()
        await seed_printed_order(world, owner.client.id)
        yield world, owner


async def test_the_printed_request_gets_the_printed_answer_link_by_link_and_key_by_key(published: Any):
    world, owner = published
    answer = await _as_printed(world, owner)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/hal+json"
    assert "location" not in answer.headers
    ours, printed = _in_order(answer.content), _in_order(_ANSWER)
    added, links = _split(ours, "_links")
    assert added == _OUR_LINKS
    assert _pairs(links) == _pairs(printed["_links"])
    assert list(ours) == list(printed)
    for name, value in printed.items():
        if name not in {"_links", "_embedded"}:
            assert _pairs(ours[name]) == _pairs(value), name
    assert list(ours["_embedded"]) == list(printed["_embedded"])


async def test_amounts_are_numbers_with_two_decimals_to_the_byte(published: Any):
    world, owner = published
    answer = (await _as_printed(world, owner)).content
    for name, printed in [
        ("product_total", b'{"amount":13.50,"currency":"EUR"}'),
        ("service_costs", b'{"amount":1.50,"currency":"EUR"}'),
        ("grand_total", b'{"amount":16.50,"currency":"EUR"}'),
        ("unit_price", b'{"amount":50.00,"currency":"EUR"}'),
    ]:
        assert b'"%s":%s' % (name.encode(), printed) in answer
    assert b'"costs":{"amount":1.00,"currency":"EUR"}' in answer
    assert b'"costs":{"amount":0.50,"currency":"EUR"}' in answer


async def test_what_the_page_leaves_out_is_every_product_and_every_ticket_no_longer_valid(published: Any):
    world, owner = published
    embedded = (await _as_printed(world, owner)).json()["_embedded"]
    assert {product["uid"]: product["availability"] for product in embedded["shop:product"]} == dict.fromkeys(
        SOLD, STOCK
    )
    assert [ticket["valid"] for ticket in embedded["shop:ticket"]] == [False] * sum(SOLD.values())
    for one in embedded["shop:product"] + embedded["shop:ticket"]:
        assert one["_links"]["self"]["href"].startswith(API)


async def test_the_printed_order_is_cancelled_in_the_database_once_with_the_printed_reason(published: Any):
    world, owner = published
    await _as_printed(world, owner)
    again = await _as_printed(world, owner)
    assert (again.status_code, again.json()["type"]) == (409, "ORDER_ALREADY_CANCELED")
    order_id = order_id_of(UID)
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]
    (cancellation,) = await world.rows("cancellations", order_id)
    assert cancellation["reason"] == json.loads(_REQUEST)["reason"]
    assert {row["uid"]: row["availability"] for row in await world.rows("products")} == dict.fromkeys(SOLD, STOCK)


async def test_the_order_reads_afterwards_as_it_was_answered(published: Any):
    world, owner = published
    answered = await _as_printed(world, owner)
    read = await world.http.get(f"/orders/{UID}", headers={"Authorization": owner.basic})
    assert read.status_code == 200
    assert read.content == answered.content


async def _as_printed(world: World, owner: Caller) -> httpx.Response:
    """The page's request: no media type is named there."""
    return await world.http.post("/ordercancellation/", content=_REQUEST, headers={"Authorization": owner.basic})


def _in_order(body: bytes) -> dict[str, Any]:
    """JSON with numbers as they are written, so that 13.50 and 13.5 differ."""
    return json.loads(body, parse_float=lambda digits: f"number {digits}", parse_int=lambda digits: f"number {digits}")


def _split(ours: dict[str, Any], name: str) -> tuple[list[str], dict[str, Any]]:
    """Our own keys, and the rest."""
    return (
        [key for key in ours[name] if key in _OUR_LINKS],
        {key: value for key, value in ours[name].items() if key not in _OUR_LINKS},
    )


def _pairs(value: Any) -> Any:
    """Objects as lists of pairs: their order counts."""
    if isinstance(value, dict):
        return [(key, _pairs(inner)) for key, inner in value.items()]
    return [_pairs(inner) for inner in value] if isinstance(value, list) else value
