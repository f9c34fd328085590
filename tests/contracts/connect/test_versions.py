import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from countermand.bootstrap.api_modules import connect_of
from countermand.contracts.connect.routes import CANCEL as CANCEL_ORDER
from countermand.contracts.connect.versions import SUPPORTED, VERSIONS, required_from
from countermand.contracts.http.openapi import Operation
from countermand.settings import Settings
from support.appointments import ASK, ORDERS, post
from support.connect_calls import CANCEL, SERVICE_ORDER, Reply, cancel, send
from support.database_contents import contents
from support.shared_world import shared_both_worlds, shared_world
from support.world import Caller, World, a_world

world = shared_world
both_worlds = shared_both_worlds

NUMBERS = [str(number) for number in range(1, 9)]


async def test_every_version_cancels_and_answers_to_the_byte_alike(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    replies = []
    for version in NUMBERS:  # 1 and 2 are deprecated, 8 is inferred: all have one behaviour (connect decision 9)
        order_id = await world.service_order(me)
        replies.append(await cancel(world, me, {"orderId": order_id}, headers={"X-API-VERSION": version}))
        assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]
    assert replies[0].status == 200
    assert replies == [replies[0]] * len(NUMBERS)


async def test_every_version_refuses_alike(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await world.cancel(me, order_id)
    replies = [
        await cancel(world, me, {"orderId": order_id}, headers={"X-API-VERSION": version}) for version in NUMBERS
    ]
    assert replies[0].status == 422
    assert replies == [replies[0]] * len(NUMBERS)


NO_VERSIONS: list[list[str | bytes]] = [
    [],
    ["0"],
    ["9"],
    ["-1"],
    ["+7"],
    ["07"],
    ["7.0"],
    ["7e0"],
    ["0x7"],
    ["10"],
    ["abc"],
    ["v7"],
    [""],
    ["٧"],  # int() reads this as 7  # noqa: RUF001
    ["７"],  # noqa: RUF001
    [b"\xff"],
    [b"7\x00"],
    # A server takes such spaces away before anybody sees them; were one not to, it would not be one of the strings.
    [" 7"],
    ["7 "],
    ["7,"],
    ["7, 7"],
    ["7", "7"],  # the header twice is the list of both
    ["7", "8"],
    ["7" * 5000],
]


async def test_any_other_version_is_400_that_names_the_supported_ones_and_changes_nothing(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    before = await contents(world)
    rest = [(name, value) for name, value in world.connect_headers(me).items() if name != "X-API-VERSION"]
    for given in NO_VERSIONS:
        headers = [*rest, *(("X-API-VERSION", value) for value in given)]
        reply = await send(world, "POST", CANCEL, headers, json.dumps({"orderId": order_id}).encode())
        assert (given, reply.status) == (given, 400)
        assert reply.error["code"] == "bad_request"
        assert "X-API-VERSION" in reply.error["message"]
        assert "1 to 8" in reply.error["message"]
        assert len(reply.body) < 500
    assert await contents(world) == before


# the table


def test_the_table_is_the_published_one():
    assert [version.number for version in VERSIONS] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [version.number for version in VERSIONS if version.is_deprecated] == [1, 2]
    assert {(version.number, name, fields) for version in VERSIONS for name, fields in version.needs.items()} == {
        (4, "createOrder", ("aggregationMethod",))
    }
    assert SUPPORTED == "1 to 8"


def operations() -> dict[str, Operation]:
    calls = connect_of(Settings()).calls()
    return {call.operation.name: call.operation for call in calls} | {CANCEL_ORDER.name: CANCEL_ORDER}


def test_what_a_version_asks_for_is_a_field_that_its_call_takes_and_says_so():
    for version in VERSIONS:
        for name, fields in version.needs.items():
            request = operations()[name].request
            assert request is not None
            known = {field.name: field for field in msgspec.structs.fields(request)}
            for field in fields:
                assert not known[field].required
                (described,) = msgspec.json.schema_components([request])[1].values()
                said = described["properties"][field]["description"]
                assert said.endswith(f". Required from version {version.number} on")
                assert required_from(name)[field] == version.number


def test_every_call_is_described_with_the_versions_of_the_table():
    for operation in operations().values():
        (header,) = [one for one in operation.parameters if one["name"] == "X-API-VERSION"]
        assert header["required"] is True
        numbers = [str(version.number) for version in VERSIONS]
        assert header["schema"] == {"type": "string", "enum": numbers, "default": max(numbers)}
        assert header["description"].endswith("1 and 2 are deprecated, but still work.")


# what deprecated versions say of themselves

NOTICES = {"connect_deprecated_since": "2026-07-01T00:00:00Z", "connect_sunset": "2027-07-01T10:00:00+10:00"}
SAID = {"deprecation": "@1782864000", "sunset": "Thu, 01 Jul 2027 00:00:00 GMT"}


def noticed(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name in SAID}


async def answers(world: World, me: Caller, version: str) -> dict[str, Reply]:
    """Answers of every kind: given, refused, unreadable, to nobody and to what is not there."""
    order_id = await world.service_order(me)
    spoken: dict[str, Any] = {"headers": {"X-API-VERSION": version}}
    nobody = {"headers": {"X-API-VERSION": version, "Authorization": "Bearer x"}}
    lines = world.connect_headers(me, X_API_VERSION=version)
    replies = {
        "cancelled": await cancel(world, me, {"orderId": order_id}, **spoken),
        "refused": await cancel(world, me, {"orderId": order_id}, **spoken),
        "not JSON": await cancel(world, me, b"{", **spoken),
        "no field": await cancel(world, me, {}, **spoken),
        "no order": await cancel(world, me, {"orderId": 999_999}, **spoken),
        "nobody": await cancel(world, me, {"orderId": order_id}, **nobody),
        "not JSON by its name": await cancel(
            world, me, b"{}", headers={"X-API-VERSION": version, "Content-Type": "text/plain"}
        ),
        "another method": await cancel(world, me, b"", method="PUT", **spoken),
        "created": await post(world, me, ORDERS + "/create", SERVICE_ORDER, X_API_VERSION=version),
        "not created": await post(world, me, ORDERS + "/create", {}, X_API_VERSION=version),
        "ended": await post(world, me, ASK, {"orderId": order_id, "dateFrom": "2026-12-01"}, X_API_VERSION=version),
    }
    for name, path in {
        "read": f"{ORDERS}/{order_id}",
        "listed": ORDERS,
        "explained": f"{ORDERS}/{order_id}/cancellability",
        "not there": f"{ORDERS}/999999",
        "nowhere": "/api/connect/nowhere",
    }.items():
        replies[name] = await send(world, "GET", path, lines.items())
    replies["another method elsewhere"] = await send(world, "DELETE", f"{ORDERS}/{order_id}", lines.items())
    return replies


async def test_by_default_no_version_says_that_it_will_go(both_worlds: World):
    me = await both_worlds.connect_client()
    for version in NUMBERS:
        for name, reply in (await answers(both_worlds, me, version)).items():
            assert (name, noticed(reply)) == (name, {})


@pytest.mark.parametrize("with_front", [True, False], ids=["front", "framework"])
@pytest.mark.parametrize("given", [["connect_deprecated_since"], ["connect_sunset"], list(NOTICES)], ids="-".join)
async def test_where_the_operator_says_so_every_answer_in_versions_1_and_2_says_it(
    tmp_path: Path, given: list[str], *, with_front: bool
):
    settings: dict[str, Any] = {name: NOTICES[name] for name in given}
    expected = {SAID_BY[name]: SAID[SAID_BY[name]] for name in given}
    async with a_world(tmp_path, with_front=with_front, **settings) as world:
        me = await world.connect_client()
        for version in NUMBERS:
            for name, reply in (await answers(world, me, version)).items():
                assert (version, name, noticed(reply)) == (version, name, expected if version in {"1", "2"} else {})
        for version in ("0", "9", "01"):
            reply = await cancel(world, me, {"orderId": 1}, headers={"X-API-VERSION": version})
            assert (reply.status, noticed(reply)) == (400, {})
        without = await cancel(world, me, {"orderId": 1}, headers={"X-API-VERSION": None})
        assert (without.status, noticed(without)) == (400, {})
        tickets = await send(world, "GET", "/orders", world.shopping_headers(await world.shopping_client()).items())
        assert noticed(tickets) == {}


SAID_BY = {"connect_deprecated_since": "deprecation", "connect_sunset": "sunset"}


async def test_a_notice_changes_nothing_but_itself(tmp_path: Path):
    async with a_world(tmp_path, **NOTICES) as world:
        me = await world.connect_client()
        with_them, without = await answers(world, me, "1"), await answers(world, me, "3")
    for name, reply in with_them.items():
        assert reply.status == without[name].status
        assert reply.headers.keys() - SAID.keys() == without[name].headers.keys()
