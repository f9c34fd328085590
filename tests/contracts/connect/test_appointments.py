"""From a request for slots to a booked appointment, and away from it again."""

from datetime import datetime, timedelta, timezone

from countermand.domain.orders.order_state import Transition
from support.appointments import ASK, BOOK, CALL_OFF, ORDERS, WITHDRAW, asked, booked, booking, get, offer, post, slot
from support.connect_calls import SERVICE_ORDER, SIX_HEADERS, cancel
from support.database_contents import contents
from support.shared_world import shared_both_worlds, shared_world
from support.world import NOON, PUBLIC_URL, World

world = shared_world
both_worlds = shared_both_worlds

SYDNEY = timezone(timedelta(hours=11))
TOMORROW_AM = datetime(2026, 11, 22, 8, 0, tzinfo=SYDNEY)
TOMORROW_PM = datetime(2026, 11, 22, 13, 0, tzinfo=SYDNEY)
IN_A_WEEK = datetime(2026, 11, 28, 8, 0, tzinfo=SYDNEY)


async def test_an_appointment_is_asked_for_booked_and_cancelled_as_the_pages_say(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    await slot(world, "am", TOMORROW_AM)
    await slot(world, "pm", TOMORROW_PM)
    reply = await post(world, me, ORDERS + "/create", SERVICE_ORDER)
    order_id = reply.json["id"]

    reply = await post(world, me, ASK, {"orderId": order_id, "dateFrom": "2026-11-22"})
    location = f"{PUBLIC_URL}{ORDERS}/appointment-requests/requests/1"
    assert (reply.status, reply.body) == (201, b"")
    assert reply.headers == SIX_HEADERS | {"location": location, "content-length": "0"}

    reply = await get(world, me, location)
    am = {
        "id": "am",
        "slotType": "AM",
        "date": "2026-11-22",
        "startTime": "2026-11-21T21:00:00Z",
        "endTime": "2026-11-22T01:00:00Z",
        "timezoneOffset": "+11:00",
    }
    pm = am | {
        "id": "pm",
        "slotType": "PM",
        "startTime": "2026-11-22T02:00:00Z",
        "endTime": "2026-11-22T06:00:00Z",
    }
    assert reply.status == 200
    assert reply.json == {"id": 1, "orderId": order_id, "dateFrom": "2026-11-22", "slots": [am, pm]}

    reply = await post(world, me, BOOK, {"appointmentRequestId": 1, "slotId": "pm"})
    assert (reply.status, reply.body) == (201, b"")
    assert reply.headers["location"] == f"{PUBLIC_URL}{ORDERS}/appointments/requests/2"
    reply = await get(world, me, reply.headers["location"])
    appointment = {
        "id": 1,
        "orderId": order_id,
        "nbnAppointmentId": "APT000000000001",
        "status": "booked",
        "startTime": "2026-11-22T02:00:00Z",
        "endTime": "2026-11-22T06:00:00Z",
        "slotType": "PM",
        "timezoneOffset": "+11:00",
        "priorityAssist": False,
        "eSla": None,
        "demandType": "Standard Install",
        "contact": {"name": "Jo Citizen", "type": "Primary Contact", "phone": "0412 345 678", "notes": None},
        "customerRef": None,
        "serviceId": 1,
        "cancelledOn": None,
    }
    assert (reply.status, reply.json) == (200, appointment)
    assert (await get(world, me, f"{ORDERS}/appointments/1")).json == appointment
    assert (await get(world, me, f"{ORDERS}/{order_id}/appointments")).json == {"appointments": [appointment]}
    assert (await get(world, me, f"{ORDERS}/{order_id}")).json["appointments"] == [appointment]

    refused = await cancel(world, me, {"orderId": order_id})
    assert (refused.status, refused.codes) == (422, ["appointment_within_notice"])

    reply = await post(world, me, CALL_OFF, {"appointmentId": 1})
    assert (reply.status, reply.body) == (201, b"")
    assert reply.headers["location"] == f"{PUBLIC_URL}{ORDERS}/appointment-cancellations/requests/3"
    reply = await get(world, me, reply.headers["location"])
    assert reply.json == {"id": 3, "appointmentId": 1, "orderId": order_id, "cancelledOn": "2026-11-21T12:00:00Z"}
    after = (await get(world, me, f"{ORDERS}/appointments/1")).json
    assert after == appointment | {"status": "cancelled", "cancelledOn": "2026-11-21T12:00:00Z"}

    assert (await cancel(world, me, {"orderId": order_id})).status == 200


async def test_slots_are_offered_from_the_customers_own_date_on(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    # In UTC all three begin on the 22nd.
    await slot(world, "22nd-there", datetime(2026, 11, 22, 10, 0, tzinfo=timezone(timedelta(hours=-5))))
    await slot(world, "23rd-there", datetime(2026, 11, 23, 0, 0, tzinfo=SYDNEY))
    await slot(world, "22nd-in-UTC", datetime(2026, 11, 22, 23, 59, tzinfo=timezone(timedelta(0))))
    for date, expected in {
        "2026-11-22": ["23rd-there", "22nd-there", "22nd-in-UTC"],
        "2026-11-23": ["23rd-there"],
        "2026-11-24": [],
    }.items():
        assert [one["id"] for one in (await offer(world, me, order_id, date))["slots"]] == expected


async def test_only_slots_for_the_place_with_room_left_and_still_to_come_are_offered(world: World):
    me = await world.connect_client()
    order_id, other = await world.service_order(me), await world.service_order(me)
    await slot(world, "everywhere", IN_A_WEEK)
    await slot(world, "its-area", IN_A_WEEK, area="LOC3801")
    await slot(world, "its-very-place", IN_A_WEEK, area="LOC380100009114")
    await slot(world, "another-area", IN_A_WEEK, area="LOC3802")
    await slot(world, "no-room", IN_A_WEEK, capacity=0)
    await slot(world, "just-begun", NOON.astimezone(SYDNEY))
    await slot(world, "about-to-begin", NOON.astimezone(SYDNEY) + timedelta(microseconds=1))
    await slot(world, "taken", IN_A_WEEK)
    await booked(world, me, other, "taken")
    found = [one["id"] for one in (await offer(world, me, order_id))["slots"]]
    assert found == ["about-to-begin", "everywhere", "its-area", "its-very-place"]


async def test_whatever_ends_an_appointment_gives_its_place_back(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    await slot(world, "one", IN_A_WEEK)
    for end in ("cancelled with its order", "cancelled", "moved", "completed"):
        order_id, other = await world.service_order(me), await world.service_order(me)
        appointment_id = (await booked(world, me, order_id, "one"))["id"]
        assert (await offer(world, me, other))["slots"] == []
        path, headers = (
            f"/manage/v1/orders/connect-{order_id}/appointments/{appointment_id}",
            world.manage_headers(operator),
        )
        if end == "cancelled with its order":
            assert (await cancel(world, me, {"orderId": order_id})).status == 200
        elif end == "cancelled":
            done = await get(world, me, await asked(world, me, CALL_OFF, {"appointmentId": appointment_id}))
            assert done.status == 200
        elif end == "moved":
            times = {"starts_at": "2026-12-24T08:00:00Z", "ends_at": "2026-12-24T12:00:00Z"}
            assert (await world.http.put(path, json=times, headers=headers)).status_code == 200
        else:
            done = await world.http.post(path + "/state", json={"state": "completed"}, headers=headers)
            assert done.status_code == 200
        assert [one["id"] for one in (await offer(world, me, other))["slots"]] == ["one"], end


async def test_a_slot_that_was_taken_between_offer_and_booking_ends_as_422_under_the_location(world: World):
    me = await world.connect_client()
    mine, other = await world.service_order(me), await world.service_order(me)
    await slot(world, "one", IN_A_WEEK)
    offered = await offer(world, me, mine)
    await booked(world, me, other, "one")
    wanted = {"appointmentRequestId": offered["id"], "slotId": "one"}
    reply = await get(world, me, await asked(world, me, BOOK, wanted))
    assert (reply.status, reply.codes) == (422, ["slot_taken"])
    assert await world.rows("appointments", mine) == []
    assert (await cancel(world, me, {"orderId": mine})).status == 200


async def test_a_slot_that_changed_or_began_since_it_was_offered_is_not_booked(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await slot(world, "changed", IN_A_WEEK)
    await slot(world, "soon", NOON.astimezone(SYDNEY) + timedelta(hours=1))
    offered = await offer(world, me, order_id)
    await slot(world, "changed", IN_A_WEEK + timedelta(hours=1))
    world.clock.forward(hours=1)
    for slot_id, code in {"changed": "slot_gone", "soon": "slot_over"}.items():
        wanted = {"appointmentRequestId": offered["id"], "slotId": slot_id}
        reply = await get(world, me, await asked(world, me, BOOK, wanted))
        assert (slot_id, reply.status, reply.codes) == (slot_id, 422, [code])
    assert await world.rows("appointments") == []


async def test_what_the_order_as_it_stands_does_not_allow_is_422_at_once_and_changes_nothing(world: World):
    me = await world.connect_client()
    await slot(world, "one", IN_A_WEEK)
    await slot(world, "two", IN_A_WEEK)
    busy, ended, withdrawn = [await world.service_order(me) for _ in range(3)]
    appointment_id = (await booked(world, me, busy, "one"))["id"]
    offers = {order_id: (await offer(world, me, order_id))["id"] for order_id in (busy, ended, withdrawn)}
    assert (await cancel(world, me, {"orderId": ended})).status == 200
    assert (await post(world, me, WITHDRAW, {"appointmentRequestId": offers[withdrawn]})).status == 204
    before = await contents(world)
    refusals = {
        "has_appointment": await post(world, me, BOOK, {"appointmentRequestId": offers[busy], "slotId": "two"}),
        "order_ended": await post(world, me, BOOK, {"appointmentRequestId": offers[ended], "slotId": "two"}),
        "appointment_request_cancelled": await post(
            world, me, BOOK, {"appointmentRequestId": offers[withdrawn], "slotId": "two"}
        ),
    }
    assert {code: (reply.status, reply.codes) for code, reply in refusals.items()} == {
        code: (422, [code]) for code in refusals
    }
    assert (await post(world, me, ASK, {"orderId": ended, "dateFrom": "2026-11-22"})).codes == ["order_ended"]
    assert await contents(world) == before
    assert (await get(world, me, await asked(world, me, CALL_OFF, {"appointmentId": appointment_id}))).status == 200
    again = await post(world, me, CALL_OFF, {"appointmentId": appointment_id})
    assert (again.status, again.codes) == (422, ["appointment_over"])


async def test_a_slot_that_was_not_offered_cannot_be_booked(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    offered = await offer(world, me, order_id)
    await slot(world, "later", IN_A_WEEK)
    reply = await post(world, me, BOOK, {"appointmentRequestId": offered["id"], "slotId": "later"})
    assert (reply.status, reply.codes) == (422, ["slot_not_offered"])
    assert await world.rows("appointments") == []


async def test_a_withdrawn_request_is_gone_and_withdrawing_again_is_answered_alike(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await slot(world, "one", IN_A_WEEK)
    offered = await offer(world, me, order_id)
    for _ in range(2):
        reply = await post(world, me, WITHDRAW, {"appointmentRequestId": offered["id"]})
        assert (reply.status, reply.body, reply.headers) == (204, b"", SIX_HEADERS)
    reply = await get(world, me, f"{ORDERS}/appointment-requests/requests/{offered['id']}")
    assert (reply.status, reply.codes) == (422, ["appointment_request_cancelled"])


async def test_withdrawing_a_request_leaves_what_was_booked_from_it(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await slot(world, "one", IN_A_WEEK)
    appointment = await booked(world, me, order_id, "one")
    (task, _) = await world.rows("appointment_tasks", order_id)
    assert (await post(world, me, WITHDRAW, {"appointmentRequestId": task["id"]})).status == 204
    assert (await get(world, me, f"{ORDERS}/appointments/{appointment['id']}")).json == appointment


async def test_an_appointment_can_be_cancelled_until_its_point_of_no_return(world: World):
    me = await world.connect_client()
    starts_at = NOON + timedelta(hours=30)
    for begins_in, expected in {timedelta(microseconds=1): 200, timedelta(): 422, timedelta(hours=-1): 422}.items():
        order_id = await world.service_order(me)
        world.clock.now = NOON
        appointment = await world.appointment(order_id, timedelta(hours=30))
        world.clock.now = starts_at - begins_in
        reply = await get(world, me, await asked(world, me, CALL_OFF, {"appointmentId": appointment.id}))
        assert (begins_in, reply.status) == (begins_in, expected)
        (row,) = await world.rows("appointments", order_id)
        assert row["state"] == ("cancelled" if expected == 200 else "booked")
        if expected == 422:
            assert reply.codes == ["appointment_past_no_return"]


async def test_nobody_else_can_ask_look_book_or_cancel(world: World):
    me, stranger = await world.connect_client("me"), await world.connect_client("stranger")
    order_id = await world.service_order(me)
    await slot(world, "one", IN_A_WEEK)
    offered = await offer(world, me, order_id)
    appointment = await booked(world, me, order_id, "one")
    location = await asked(world, me, CALL_OFF, {"appointmentId": appointment["id"]})
    before = await contents(world)
    unknown = await get(world, stranger, f"{ORDERS}/999999")
    posts = [
        await post(world, stranger, ASK, {"orderId": order_id, "dateFrom": "2026-11-22"}),
        await post(world, stranger, BOOK, {"appointmentRequestId": offered["id"], "slotId": "one"}),
        await post(world, stranger, WITHDRAW, {"appointmentRequestId": offered["id"]}),
        await post(world, stranger, CALL_OFF, {"appointmentId": appointment["id"]}),
    ]
    gets = [
        await get(world, stranger, path)
        for path in (
            f"{ORDERS}/appointment-requests/requests/{offered['id']}",
            f"{ORDERS}/appointments/requests/2",
            location,
            f"{ORDERS}/appointments/{appointment['id']}",
            f"{ORDERS}/{order_id}/appointments",
        )
    ]
    assert {reply for reply in (*posts, *gets) if reply != unknown} == set()
    assert unknown.status == 404
    assert await contents(world) == before


async def test_a_number_of_one_kind_is_none_of_another(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await slot(world, "one", IN_A_WEEK)
    offered = await offer(world, me, order_id)
    for path in ("appointments", "appointment-cancellations"):
        assert (await get(world, me, f"{ORDERS}/{path}/requests/{offered['id']}")).status == 404
    assert (await post(world, me, BOOK, {"appointmentRequestId": 999, "slotId": "one"})).status == 404
    for number in (0, -1, 2**63, 10**30):
        assert (await post(world, me, CALL_OFF, {"appointmentId": number})).status == 404


async def test_the_same_request_under_one_key_books_once(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await slot(world, "one", IN_A_WEEK)
    offered = await offer(world, me, order_id)
    wanted = {"appointmentRequestId": offered["id"], "slotId": "one"}
    locations = [await asked(world, me, BOOK, wanted, Idempotency_Key="k") for _ in range(3)]
    assert len(set(locations)) == 1
    assert len(await world.rows("appointments")) == 1


async def test_a_held_order_can_be_visited_and_one_that_is_done_cannot(world: World):
    me = await world.connect_client()
    await slot(world, "one", IN_A_WEEK)
    held = await world.service_order(me, moves=(Transition.HOLD,))
    done = await world.service_order(me, moves=(Transition.ACCEPT, Transition.START, Transition.ACTIVATE))
    assert (await booking(world, me, held, "one")).status == 200
    assert (await post(world, me, ASK, {"orderId": done, "dateFrom": "2026-11-22"})).codes == ["order_ended"]
