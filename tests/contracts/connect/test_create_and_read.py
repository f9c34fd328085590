import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import fields

from countermand.contracts.connect.create_messages import CreateRequest
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState, Transition
from support.connect_calls import SERVICE_ORDER, Reply, cancel, send
from support.database_contents import contents
from support.shared_world import shared_sqlite_world, shared_world
from support.world import PUBLIC_URL, Caller, World

world = shared_world
sqlite_world = shared_sqlite_world

CREATE = "/api/connect/orders/create"
WANTED = SERVICE_ORDER
MORE = {
    "customerReference": "ours-1",
    "quoteName": "spring",
    "trafficClass": "tc4",
    "productType": "Access Only",
    "restorationSla": "Standard",
    "remoteOrderId": "0b9a5a2e-5b3f-4f0e-a5c7-1f0a4c0f2a11",
    "infrastructureId": "NTD000000000123",
    "portId": 1,
    "requireVLAN": True,
    "vlanId": 100,
    "ntdInstallation": "nbn-tech",
}


@pytest.mark.parametrize("wanted", [WANTED, WANTED | MORE], ids=["least", "most"])
async def test_an_order_is_created_and_its_location_shows_the_same_resource(world: World, wanted: dict[str, Any]):
    me = await world.connect_client()
    reply = await create(world, me, wanted)
    assert reply.status == 201
    order_id = reply.json["id"]
    assert reply.headers["location"] == f"{PUBLIC_URL}/api/connect/orders/{order_id}"
    assert reply.json == {
        "id": order_id,
        "orderType": "new",
        "status": "submitted",
        "isCancellable": True,
        "createdOn": "2026-11-21T12:00:00Z",
        "serviceId": reply.json["serviceId"],
        "serviceClass": None,
        "technologyType": None,
        "trafficClass": wanted.get("trafficClass"),
        "installationType": wanted.get("ntdInstallation"),
        "customerRef": wanted.get("customerReference"),
        "quoteName": wanted.get("quoteName"),
        "locId": "LOC380100009114",
        "avcId": None,
        "avcIdForTransfer": None,
        "transferType": None,
        "vlanId": wanted.get("vlanId"),
        "poi": None,
        "poiName": None,
        "region": None,
        "eSla": wanted.get("restorationSla"),
        "bandwidthProfile": {
            "planName": "Home Fast 100/20",
            "speedDown": None,
            "speedUp": None,
            "cvcInclusion": None,
        },
        "infrastructure": {
            "id": wanted.get("infrastructureId"),
            "portId": wanted.get("portId"),
            "productId": None,
        },
        "aggregationMethod": "L2TP",
        "isNfas": False,
        "legacyTechnologyType": None,
        "fee": {"attributes": {}, "oneTimeCharge": None, "monthlyRecurringCharge": None},
        "additionalFees": [],
        "appointments": [],
    }
    again = await get(world, me, f"/api/connect/orders/{order_id}")
    assert (again.status, again.body) == (200, reply.body)
    (order,) = await world.rows("orders", order_id)
    assert (order["client_id"], order["contract"], order["state"]) == (me.client.id, "connect", "submitted")
    assert (await cancel(world, me, {"orderId": order_id})).status == 200


PHONES = (
    ["0412345678", "0412 345 678", "+61 412 345 678", "+61412345678", "61412345678", "02 9876 5432", "07-3333-4444"],
    ["", "041234567", "04123456789", "0112345678", "+1 212 555 0100", "phone", "0412345678\n", 412345678],
)
TEXT = ["x", "x" * 100, None], ["", "x" * 101, 1]
BOTH_SIDES: list[tuple[str, list[Any], list[Any]]] = [
    ("sourceType", ["nbn"], ["NBN", "uniti", "", 1]),
    ("contactName", ["J", "j" * 40], ["", "j" * 41, 7]),
    ("contactPhone", *PHONES),
    ("ntdPhoneNumber", *PHONES),
    (
        "contactEmail",
        ["a@b.c", "a" * 38 + "@example.com"],
        ["", "a" * 39 + "@example.com", "a", "a@b", "a b@c.d", "@b.c", "a@b.c\n", "a@b@c.d"],
    ),
    ("locationId", ["LOC380100009114"], ["", "LOC38010000911", "LOC3801000091145", "loc380100009114", "380100009114"]),
    ("locationId", ["LOC000000000000"], ["LOC380100009114\n", "LOC38010000911٤", " LOC380100009114", 380100009114]),
    ("planName", ["p", "p" * 100], ["", "p" * 101]),
    ("aggregationMethod", ["L2TP", "ETHERNET"], ["l2tp", "", "PPPoE", 1]),
    ("customerReference", ["", "r" * 200, None], ["r" * 201, 1]),
    ("quoteName", ["", "q" * 50, None], ["q" * 51, []]),
    ("term", [0, 1, 120], [-1, 121, 1.5, "1", True, None]),
    ("trafficClass", ["", "t" * 20, None], ["t" * 21]),
    ("productType", ["", "t" * 50, None], ["t" * 51]),
    ("restorationSla", ["", "s" * 50, None], ["s" * 51]),
    ("remoteQualificationSearchId", ["x", "x" * 100], ["", "x" * 101, None, 1]),
    ("qualificationSearchId", ["x", "x" * 100], ["", "x" * 101, None, 1]),
    *((name, *TEXT) for name in ("remoteOrderId", "ntdOption", "ntdName", "ntdBusinessName")),
    *((name, *TEXT) for name in ("ntdAddressLine1", "ntdSuburb")),
    ("infrastructureId", ["NTD000000000123", "CPI000000000123", None], ["", "NTD00000000012", "AVC000000000123", 1]),
    ("requireVLAN", [True, False, None], ["true", 1]),
    ("vlanId", [1, 4094, None], [0, 4095, "100", 1.5]),
    ("potsWaiver", [True, False, None], ["false", 0]),
    ("potsServiceOwner", [True, None], ["true", 1]),
    ("ntdInstallation", ["nbn-tech", "nbn-no-action", None], ["", "self", 1]),
    ("ntdSameAddressDelivery", [True, None], ["true", 1]),
    ("ntdAuthorityToLeave", [True, False, None], ["true", 1]),
    ("ntdAddressLine2", ["", "x" * 100, None], ["x" * 101, 1]),
    ("ntdPostcode", ["0800", "9999", None], ["", "080", "08000", "080x", 2000]),
    ("ntdState", ["ACT", "NSW", "NT", "QLD", "SA", "TAS", "VIC", "WA", None], ["", "nsw", "NZ", 1]),
    ("ntdDeliveryInstructions", ["", "x" * 500, None], ["x" * 501, 1]),
    # Right only beside others: what these ask for is tested with them.
    ("portId", [None], [0, 9, "1", 1.5]),
    ("avcIdForTransfer", [None], ["", "AVC00000000012", "NTD000000000123", 1]),
    ("transferType", [None], ["", "service_transfer", 1]),
]
BESIDE = {"portId": {"infrastructureId"}, "avcIdForTransfer": {"transferType"}, "transferType": {"avcIdForTransfer"}}
GOOD = [(field, value) for field, good, _ in BOTH_SIDES for value in good]
BAD = [(field, value) for field, _, bad in BOTH_SIDES for value in bad]


def test_every_field_is_tried():
    assert {field for field, _, _ in BOTH_SIDES} == {field.name for field in fields(CreateRequest)}


async def test_every_field_takes_what_lies_just_inside_its_limits(world: World):
    me = await world.connect_client()
    replies = [(field, value, await create(world, me, WANTED | {field: value})) for field, value in GOOD]
    assert [(field, value, reply.body) for field, value, reply in replies if reply.status != 201] == []
    assert len(await world.rows("orders")) == len(GOOD)


@pytest.mark.parametrize("field", dict.fromkeys(field for field, _ in BAD))
async def test_every_field_refuses_what_lies_just_outside_and_is_named(sqlite_world: World, field: str):
    me = await sqlite_world.connect_client()
    before = await contents(sqlite_world)
    replies = [(value, await create(sqlite_world, me, WANTED | {field: value})) for name, value in BAD if name == field]
    assert [value for value, reply in replies if reply.status != 422] == []
    wrong = {(error["code"], error["field"]) for _, reply in replies for error in reply.errors}
    assert ("invalid_field", field) in wrong
    assert {code for code, _ in wrong} == {"invalid_field"}
    assert {name for _, name in wrong} <= {field, "infrastructureId", *BESIDE.get(field, set())}
    assert await contents(sqlite_world) == before


NO_ID = ["0", "-1", "2", "abc", "1.0", "1e0", "9" * 19, str(2**63), "9" * 40, "\u0661", "1%00", "+1"]


@pytest.mark.parametrize("tail", ["", "/cancellability"])
async def test_anothers_order_reads_to_the_byte_like_one_that_is_not_there(world: World, tail: str):
    me, stranger = await world.connect_client("me"), await world.connect_client("stranger")
    mine = await world.service_order(me)
    tickets = await world.ticket_order(await world.shopping_client())
    before = await contents(world)
    unknown = await get(world, stranger, f"/api/connect/orders/999999{tail}")
    assert unknown.status == 404
    assert unknown.error["message"] == "You are not authorised or the id provided does not exist"
    asked = [f"/api/connect/orders/{given}{tail}" for given in (mine, tickets.order.id, *NO_ID)]
    replies = {path: await get(world, stranger, path) for path in asked}
    assert {path: reply for path, reply in replies.items() if reply != unknown} == {}
    assert (await get(world, me, f"/api/connect/orders/{mine}{tail}")).status == 200
    assert await contents(world) == before


STATES = {
    (): "submitted",
    (Transition.ACCEPT,): "accepted",
    (Transition.ACCEPT, Transition.START): "in_progress",
    (Transition.ACCEPT, Transition.START, Transition.PASS_NO_RETURN): "past_no_return",
    (Transition.ACCEPT, Transition.START, Transition.ACTIVATE): "activated",
    (Transition.HOLD,): "held",
    (Transition.REJECT,): "rejected",
}


@pytest.mark.parametrize(("moves", "state"), STATES.items(), ids=STATES.values())
async def test_is_cancellable_speaks_of_the_state_alone(world: World, moves: tuple[Transition, ...], state: str):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=1), moves=moves)
    shown = (await get(world, me, f"/api/connect/orders/{order_id}")).json
    assert (shown["status"], shown["isCancellable"]) == (state, OrderState(state) in CANCELLABLE_STATES)
    assert shown["isCancellable"] is (state not in {"past_no_return", "activated"})


async def test_a_cancelled_order_stays_readable_and_shows_it_at_once_with_its_appointment(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    path = f"/api/connect/orders/{order_id}"
    before = (await get(world, me, path)).json
    assert before["appointments"] == [
        {
            "id": 1,
            "orderId": order_id,
            "nbnAppointmentId": "APT000000000001",
            "status": "booked",
            "startTime": "2026-11-22T18:00:00Z",
            "endTime": "2026-11-22T22:00:00Z",
            "slotType": None,
            "timezoneOffset": None,
            "priorityAssist": False,
            "eSla": None,
            "demandType": "Standard Install",
            "contact": {"name": "", "type": "Primary Contact", "phone": "", "notes": None},
            "customerRef": None,
            "serviceId": 1,
            "cancelledOn": None,
        }
    ]
    assert (await cancel(world, me, {"orderId": order_id})).status == 200
    after = (await get(world, me, path)).json
    changed = {"status": "cancelled", "isCancellable": False}
    visit = before["appointments"][0] | {"status": "cancelled", "cancelledOn": "2026-11-21T12:00:00Z"}
    assert after == before | changed | {"appointments": [visit]}


@pytest.mark.parametrize("path", ["/api/connect/orders/1", "/api/connect/orders/1/cancellability"])
@pytest.mark.parametrize(("changed", "status"), [({"X-API-VERSION": "9"}, 400), ({"Authorization": "Bearer x"}, 401)])
async def test_reading_asks_for_the_same_headers(sqlite_world: World, path: str, changed: dict[str, str], status: int):
    me = await sqlite_world.connect_client()
    assert await sqlite_world.service_order(me) == 1
    reply = await send(sqlite_world, "GET", path, (sqlite_world.connect_headers(me) | changed).items())
    assert (reply.status, len(reply.errors)) == (status, 1)
    assert (await get(sqlite_world, me, path)).status == 200


async def create(world: World, caller: Caller, wanted: dict[str, Any], version: str = "7") -> Reply:
    headers = world.connect_headers(caller) | {"X-API-VERSION": version}
    return await send(world, "POST", CREATE, headers.items(), json.dumps(wanted).encode())


async def get(world: World, caller: Caller, path: str) -> Reply:
    return await send(world, "GET", path, world.connect_headers(caller).items())


AS_PEOPLE_TYPE_THEM = {
    "(02) 9876 5432": "02 9876 5432",
    "(03) 9123-4567": "03 9123-4567",
    "+61 (0)2 9876 5432": "+61 2 9876 5432",
    "+61 (02) 9876 5432": "+61 2 9876 5432",
    "+61 0412 345 678": "+61 412 345 678",
    "0061 2 9876 5432": "+61 2 9876 5432",
    "0011 61 2 9876 5432": "+61 2 9876 5432",
    "02.9876.5432": "02 9876 5432",
    " 0412 345 678 ": "0412 345 678",
    "0412\u00a0345\u00a0678": "0412 345 678",
    "0412\u2013345\u2013678": "0412-345-678",
    "\u202a+61 412 345 678\u202c": "+61 412 345 678",
}


@pytest.mark.parametrize("typed", AS_PEOPLE_TYPE_THEM, ids=ascii)
async def test_a_phone_number_as_australians_write_it_is_taken_and_kept_tidy(sqlite_world: World, typed: str):
    me = await sqlite_world.connect_client()
    given = SERVICE_ORDER | {"contactPhone": typed, "ntdPhoneNumber": typed, "contactEmail": " jo@example.com\u00a0"}
    reply = await create(sqlite_world, me, given)
    assert reply.status == 201, reply.body
    (kept,) = [row for row in await sqlite_world.rows("order_details") if row["order_id"] == reply.json["id"]]
    for name, value in (("contactPhone", AS_PEOPLE_TYPE_THEM[typed]), ("contactEmail", "jo@example.com")):
        assert json.loads(kept["details"])[name] == value
    assert json.loads(kept["details"])["ntdPhoneNumber"] == AS_PEOPLE_TYPE_THEM[typed]


async def test_what_is_no_phone_number_or_e_mail_address_is_refused_in_words(sqlite_world: World):
    me = await sqlite_world.connect_client()
    before = await contents(sqlite_world)
    reply = await create(sqlite_world, me, SERVICE_ORDER | {"contactPhone": "1300 123 456", "contactEmail": "jo"})
    phone = "an Australian landline or mobile number, like 0412 345 678, (02) 9876 5432 or +61 2 9876 5432"
    assert [error["message"] for error in reply.json["errors"]] == [
        f'contactPhone must be {phone}, not "1300 123 456"',
        'contactEmail must be an e-mail address, like jo@example.com, not "jo"',
    ]
    assert await contents(sqlite_world) == before
