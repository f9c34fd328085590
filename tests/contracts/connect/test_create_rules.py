"""What the fields of a new order ask of each other, in every version, with everything that is wrong said at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.appointments import ORDERS, get, post
from support.connect_calls import SERVICE_ORDER, Reply, cancel
from support.database_contents import contents
from support.manage_calls import manage
from support.shared_world import shared_sqlite_world, shared_world
from support.world import Caller, World, a_world

world = shared_world
sqlite_world = shared_sqlite_world

CREATE = ORDERS + "/create"
VERSIONS = [str(number) for number in range(1, 9)]
NTD, AVC = {"infrastructureId": "NTD000000000123"}, {"avcIdForTransfer": "AVC000000000123"}
TRANSFER = {"transferType": "SERVICE_TRANSFER"}
ELSEWHERE = {
    "ntdAddressLine1": "1 Other Street",
    "ntdSuburb": "Sydney",
    "ntdPostcode": "2000",
    "ntdState": "NSW",
}

# What is given besides, which fields are wrong with it, and what puts that right.
RULES: dict[str, tuple[dict[str, Any], set[str], dict[str, Any]]] = {
    "an AVC without a transfer": (AVC | NTD, {"transferType"}, TRANSFER),
    "a transfer without an AVC": (TRANSFER | NTD, {"avcIdForTransfer"}, AVC),
    "a transfer of nothing": (TRANSFER | AVC, {"infrastructureId"}, NTD),
    "an outstanding one": (
        {"transferType": "CONNECT_OUTSTANDING"},
        {"avcIdForTransfer", "infrastructureId"},
        AVC | NTD,
    ),
    "a port of nothing": ({"portId": 1}, {"infrastructureId"}, NTD),
    "a line of another, not waived": ({"potsServiceOwner": False}, {"potsWaiver"}, {"potsWaiver": True}),
    "a line of another, kept": ({"potsServiceOwner": False, "potsWaiver": False}, {"potsWaiver"}, {"potsWaiver": True}),
    "hardware for elsewhere": ({"ntdSameAddressDelivery": False}, set(ELSEWHERE), ELSEWHERE),
    "half an address": (
        {"ntdSameAddressDelivery": False, "ntdSuburb": "Perth"},
        set(ELSEWHERE) - {"ntdSuburb"},
        ELSEWHERE,
    ),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("given", "wrong", "right"), RULES.values(), ids=RULES)
async def test_a_rule_between_fields_holds_in_every_version(
    sqlite_world: World, version: str, given: dict[str, Any], wrong: set[str], right: dict[str, Any]
):
    me = await sqlite_world.connect_client()
    before = await contents(sqlite_world)
    reply = await create(sqlite_world, me, SERVICE_ORDER | given, version)
    assert (reply.status, fields_of(reply)) == (422, sorted(wrong))
    assert set(reply.codes) == {"invalid_field"}
    assert await contents(sqlite_world) == before
    assert (await create(sqlite_world, me, SERVICE_ORDER | given | right, version)).status == 201


NO_MORE: dict[str, dict[str, Any]] = {
    "the line is one's own": {"potsServiceOwner": True},
    "the line is one's own and waived": {"potsServiceOwner": True, "potsWaiver": True},
    "the hardware goes to the service": {"ntdSameAddressDelivery": True},
    "an address, and nothing said": ELSEWHERE,
    "a pair": {"infrastructureId": "CPI000000000123"},
}


@pytest.mark.parametrize("given", NO_MORE.values(), ids=NO_MORE)
async def test_what_asks_for_nothing_else_is_taken_by_itself(sqlite_world: World, given: dict[str, Any]):
    me = await sqlite_world.connect_client()
    assert (await create(sqlite_world, me, SERVICE_ORDER | given)).status == 201


@pytest.mark.parametrize("version", VERSIONS)
async def test_everything_that_is_wrong_is_said_at_once(world: World, version: str):
    me = await world.connect_client()
    before = await contents(world)
    reply = await create(
        world,
        me,
        {"contactName": "", "planName": 5, "term": "x", "portId": 1, "potsServiceOwner": False, "potsWaiver": "no"},
        version,
    )
    missing = {"sourceType", "contactPhone", "contactEmail", "locationId"}
    missing |= {"remoteQualificationSearchId", "qualificationSearchId", "infrastructureId"}
    missing |= {"aggregationMethod"} if int(version) >= 4 else set()
    assert reply.status == 422
    assert fields_of(reply) == sorted(missing | {"contactName", "planName", "term", "potsWaiver"})
    assert await contents(world) == before


@pytest.mark.parametrize("given", [None, [], "an order", 5, [SERVICE_ORDER]])
async def test_a_body_that_is_no_object_is_named(sqlite_world: World, given: Any):
    me = await sqlite_world.connect_client()
    reply = await create(sqlite_world, me, given)
    assert (reply.status, fields_of(reply)) == (422, ["body"])
    assert await sqlite_world.rows("orders") == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("given", [{}, {"aggregationMethod": None}], ids=["left out", "null"])
async def test_the_aggregation_method_is_required_from_version_4_on(
    sqlite_world: World, version: str, given: dict[str, Any]
):
    me = await sqlite_world.connect_client()
    without = {name: value for name, value in SERVICE_ORDER.items() if name != "aggregationMethod"}
    reply = await create(sqlite_world, me, without | given, version)
    if version in {"1", "2", "3"}:
        assert (reply.status, reply.json["aggregationMethod"]) == (201, None)
    else:
        assert (reply.status, fields_of(reply)) == (422, ["aggregationMethod"])
        assert "required from version 4 on" in reply.error["message"]
        assert await sqlite_world.rows("orders") == []
    assert (await create(sqlite_world, me, SERVICE_ORDER, version)).status == 201


TRANSFERS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing in use": (NTD | {"portId": 2}, "new"),
    "a port in use": (TRANSFER | AVC | NTD, "transfer"),
    "a line whose number does not match": ({"potsWaiver": True}, "transfer"),
    "another's line": ({"potsServiceOwner": False, "potsWaiver": True}, "transfer"),
    "one's own line": ({"potsServiceOwner": True, "potsWaiver": False}, "new"),
}


@pytest.mark.parametrize(("given", "order_type"), TRANSFERS.values(), ids=TRANSFERS)
async def test_the_order_type_follows_from_what_is_taken_over(world: World, given: dict[str, Any], order_type: str):
    me = await world.connect_client()
    shown = (await create(world, me, SERVICE_ORDER | given)).json
    assert shown["orderType"] == order_type
    for name in ("transferType", "avcIdForTransfer"):
        assert shown[name] == given.get(name)


# plans

PLAN = {"one_time_charge": "0", "monthly_charge": "75.5", "speed_down_mbit_s": 100, "speed_up_mbit_s": 20}
PLANS = {"Home Fast 100/20": PLAN, "Home Slow": {"one_time_charge": "99.95", "monthly_charge": "1"}}


async def test_a_plan_that_is_sold_shows_what_it_costs_and_another_is_refused(tmp_path: Path):
    async with a_world(tmp_path, connect_plans=PLANS) as world:
        me = await world.connect_client()
        before = await contents(world)
        reply = await create(world, me, SERVICE_ORDER | {"planName": "Home Faster", "portId": 1})
        assert (reply.status, fields_of(reply)) == (422, ["infrastructureId", "planName"])
        said = 'planName must be one of Home Fast 100/20, Home Slow, not "Home Faster"'
        assert said in [error["message"] for error in reply.errors]
        assert await contents(world) == before

        fast = (await create(world, me, SERVICE_ORDER)).json
        assert fast["fee"] == {
            "attributes": {},
            "oneTimeCharge": money("0.00"),
            "monthlyRecurringCharge": money("75.50"),
        }
        profile = {"planName": "Home Fast 100/20", "speedDown": 100, "speedUp": 20, "cvcInclusion": None}
        assert fast["bandwidthProfile"] == profile
        slow = (await create(world, me, SERVICE_ORDER | {"planName": "Home Slow"})).json
        assert slow["fee"] == {
            "attributes": {},
            "oneTimeCharge": money("99.95"),
            "monthlyRecurringCharge": money("1.00"),
        }
        assert slow["bandwidthProfile"] == profile | {"planName": "Home Slow", "speedDown": None, "speedUp": None}


async def test_an_order_keeps_its_plan_as_it_was_when_it_was_placed(tmp_path: Path):
    async with a_world(tmp_path, connect_plans=PLANS) as world:
        me = await world.connect_client()
        placed = (await create(world, me, SERVICE_ORDER)).json
    for plans in ({"Home Fast 100/20": PLAN | {"monthly_charge": "99"}}, {"Other": PLAN}, {}):
        async with a_world(tmp_path, connect_plans=plans) as world:
            assert (await get(world, me, f"{ORDERS}/{placed['id']}")).json == placed


def money(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "AUD", "symbol": "$"}


# the service


async def test_each_order_has_a_service_of_its_own_that_never_runs_once_the_order_is_cancelled(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    first, second = [(await create(world, me, SERVICE_ORDER)).json for _ in range(2)]
    assert first["serviceId"] != second["serviceId"]
    for move in ("accept", "start"):
        for order in (first, second):
            assert (await manage(world, operator, "POST", f"{order['id']}/moves", {"move": move})).status_code == 200
    assert (await cancel(world, me, {"orderId": first["id"]})).status == 200
    before = await contents(world)
    refused = await manage(world, operator, "POST", f"{first['id']}/moves", {"move": "activate"})
    assert refused.status_code == 409
    assert await contents(world) == before
    shown = (await get(world, me, f"{ORDERS}/{first['id']}")).json
    assert (shown["status"], shown["serviceId"]) == ("cancelled", first["serviceId"])
    done = await manage(world, operator, "POST", f"{second['id']}/moves", {"move": "activate"})
    assert (done.status_code, done.json()["state"]) == (200, "activated")


async def test_only_what_was_given_is_kept_of_an_order(world: World):
    me = await world.connect_client()
    order = (await create(world, me, SERVICE_ORDER | {"quoteName": None, "madeUp": 1})).json
    view = (await get(world, me, f"{ORDERS}/{order['id']}")).json
    assert view == order
    (kept,) = await world.rows("order_details", order["id"])
    assert json.loads(kept["details"]) == SERVICE_ORDER | {"serviceId": order["serviceId"]}


def fields_of(reply: Reply) -> list[str]:
    """The fields that are wrong, each named once."""
    return sorted(error["field"] for error in reply.errors)


async def create(world: World, caller: Caller, wanted: Any, version: str = "7") -> Reply:
    return await post(world, caller, CREATE, wanted, X_API_VERSION=version)
