"""Reading an order with its history, and asking about another instant."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from countermand.actions.cancelling.read_back import ReadBackWithHistory
from countermand.actions.errors import UnavailableError
from countermand.domain.client import Permission
from countermand.domain.orders.order_state import Transition
from support.database_contents import changed, contents
from support.manage_calls import PAYMENT, fields, manage, problem
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world


async def test_a_ticket_order_is_read_by_its_id_and_by_its_bare_uid_alike(world: World):
    operator = await world.manage_client()
    uid = "a" + "1" * 31
    await world.ticket_order(await world.shopping_client(), uid=uid, paid=True)
    by_id = await manage(world, operator, "GET", f"shopping-{uid}")
    by_uid = await manage(world, operator, "GET", uid)
    assert (by_id.status_code, by_id.headers["content-type"]) == (200, "application/json")
    assert by_id.content == by_uid.content
    shown = by_uid.json()
    assert (shown["id"], shown["uid"], shown["contract"]) == (f"shopping-{uid}", uid, "shopping")
    assert [ticket["valid"] for ticket in shown["tickets"]] == [True, True]


async def test_an_orders_token_is_shown_to_who_may_record_or_cancel_and_to_nobody_else(world: World):
    view = await world.ticket_order(await world.shopping_client())
    token = view.ticket_details.order_token
    assert token
    seen = {}
    for permission in (Permission.READ, Permission.RECORD, Permission.CANCEL, Permission.ADMINISTER):
        operator = await world.manage_client(permissions=frozenset({Permission.READ, permission}))
        answer = await manage(world, operator, "GET", f"shopping-{view.order.uid}")
        assert (answer.status_code, answer.text.count(str(token))) == (
            200,
            int(answer.json()["order_token"] is not None),
        )
        seen[permission] = answer.json()["order_token"]
    assert seen == {"read": None, "administer": None, "record": token, "cancel": token}


async def test_an_id_with_another_contract_than_the_orders_names_no_order(world: World):
    operator = await world.manage_client()
    telecom = await world.service_order(await world.connect_client())
    tickets = await world.ticket_order(await world.shopping_client())
    before = await contents(world)
    for strange in (f"shopping-{telecom}", f"connect-{tickets.order.uid}", f"shopping-{tickets.order.id}", "nobody-1"):
        for method, path, body in [
            ("GET", "", None),
            ("POST", "/cancel", {"reason": "r"}),
            ("POST", "/payments", PAYMENT),
        ]:
            answer = await manage(world, operator, method, f"{strange}{path}", body)
            assert (problem(answer), strange in answer.json()["detail"]) == ((404, "not_found"), True)
    assert not changed(before, await contents(world))


async def test_history_shows_everything_that_happened_oldest_first(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=20), moves=(Transition.ACCEPT,))
    await world.cancel(me, order_id, reason="too early")
    world.clock.forward(hours=1)
    await world.cancel(me, order_id, reason="still too early")
    (visit,) = [row["id"] for row in await world.rows("appointments", order_id)]
    await manage(world, operator, "DELETE", f"{order_id}/appointments/{visit}")
    await world.cancel(me, order_id, reason="now")
    await manage(world, operator, "POST", f"{order_id}/payments", PAYMENT)
    shown = (await manage(world, operator, "GET", str(order_id))).json()
    assert [(fact["kind"], fact["order_version"]) for fact in shown["facts"]] == [
        ("order.placed", 1),
        ("appointment.set", 2),
        ("order.advanced", 3),
        ("appointment.cancelled", 4),
        ("order.cancelled", 5),
        ("payment.late", 6),
    ]
    assert (shown["state"], shown["version"], shown["appointment_starts_at"]) == ("cancelled", 6, None)
    assert [refusal["reason"] for refusal in shown["refusals"]] == ["too early", "still too early"]
    assert {refusal["appointment_starts_at"] for refusal in shown["refusals"]} == {"2026-11-22T08:00:00Z"}
    cancellation = shown["cancellation"]
    assert (cancellation["reason"], cancellation["state"], cancellation["door"]) == ("now", "accepted", "connect")
    assert (cancellation["client_id"], cancellation["decided_at"]) == (me.client.id, "2026-11-21T13:00:00Z")
    assert [(payment["reference"], payment["late"]) for payment in shown["payments"]] == [("tx 1", True)]
    assert [visit["state"] for visit in shown["appointments"]] == ["cancelled"]


async def test_a_cancelled_order_that_cannot_be_shown_is_500_and_stays_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    async def away(*_: object) -> None:
        raise UnavailableError("away")

    monkeypatch.setattr(ReadBackWithHistory, "__call__", away)
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client())
    answer = await manage(world, operator, "POST", f"{order_id}/cancel", {"reason": "The customer rang"})
    assert problem(answer) == (500, "unexpected")
    assert "retry-after" not in answer.headers
    assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]
    assert [row["reason"] for row in await world.rows("cancellations")] == ["The customer rang"]


async def test_an_order_to_which_nothing_happened_says_so(world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client())
    before = await contents(world)
    shown = (await manage(world, operator, "GET", str(order_id))).json()
    assert (shown["uid"], shown["cancellation"], shown["first_payment_at"]) == (None, None, None)
    assert shown["refusals"] == shown["payments"] == shown["appointments"] == shown["tickets"] == []
    assert not changed(before, await contents(world))


_LIMIT = NOON + timedelta(hours=4)  # 26 hours before an appointment in 30


@pytest.mark.parametrize(
    ("at", "cancellable"),
    [
        (_LIMIT - timedelta(microseconds=1), True),
        (_LIMIT, False),
        (NOON + timedelta(days=365), False),
    ],
)
async def test_another_instant_is_asked_about_and_nothing_changes(world: World, at: datetime, cancellable: bool):  # noqa: FBT001
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=30))
    before = await contents(world)
    answer = await manage(world, operator, "GET", f"{order_id}/cancellability?at={quote(at.isoformat())}")
    said = answer.json()
    assert (answer.status_code, said["cancellable"]) == (200, cancellable)
    assert datetime.fromisoformat(said["at"]) == at
    assert said["cancellable_until"] == ("2026-11-21T16:00:00Z" if cancellable else None)
    assert [(finding["rule"], finding["passed"]) for finding in said["findings"]] == [
        ("state_allows", True),
        ("no_appointment_within", cancellable),
    ]
    assert not changed(before, await contents(world))


async def test_without_an_instant_it_is_the_one_of_the_clock(world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=30))
    for hours, cancellable in [(0, True), (4, False)]:
        world.clock.now = NOON + timedelta(hours=hours)
        said = (await manage(world, operator, "GET", f"{order_id}/cancellability")).json()
        assert said["cancellable"] is cancellable
        assert datetime.fromisoformat(said["at"]) == world.clock.now.astimezone(UTC)


async def test_an_instant_in_another_zone_is_the_same_instant(world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client())
    said = await manage(world, operator, "GET", f"{order_id}/cancellability?at={quote('2026-11-22T02:00:00+11:00')}")
    assert said.json()["at"] == "2026-11-21T15:00:00Z"


async def test_what_is_no_instant_is_422_and_says_which_value(world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client())
    before = await contents(world)
    strange = ["", "soon", "2026-11-21", "2026-11-21T12:00:00", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z"]
    strange += ["2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "\0", "é"]
    for at in strange:
        answer = await manage(world, operator, "GET", f"{order_id}/cancellability?at={quote(at)}")
        assert fields(answer) == ["at"], at
    assert not changed(before, await contents(world))


async def test_the_decision_is_made_by_the_policy_of_the_orders_own_contract(world: World):
    operator = await world.manage_client()
    telecom = await world.service_order(await world.connect_client(), appointment_in=timedelta(hours=20))
    tickets = await world.ticket_order(await world.shopping_client(), paid=True)
    codes = []
    for order_id in (f"connect-{telecom}", tickets.order.uid):
        said = (await manage(world, operator, "GET", f"{order_id}/cancellability")).json()
        codes.append([finding["code"] for finding in said["findings"] if not finding["passed"]])
    assert codes == [["appointment_within_notice"], ["payment_recorded"]]


async def test_an_unknown_order_has_no_decision(world: World):
    assert problem(await manage(world, await world.manage_client(), "GET", "7/cancellability")) == (404, "not_found")
