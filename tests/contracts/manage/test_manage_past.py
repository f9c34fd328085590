"""Could this order be cancelled then? By the facts and the policy of then, or the answer is that nobody knows."""

from datetime import datetime, timedelta
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import delete, update

from countermand.actions.appointments.set import cancel_appointment
from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.ticketing.transfer import TransferOrder, transfer_tickets
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import AppointmentId
from countermand.domain.cancelling.decision import Decision
from countermand.domain.cancelling.policy import Policy, policy_of
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import TicketOrderGiven
from countermand.domain.orders.order_state import Transition
from countermand.domain.ticketing.consumer import Consumer
from countermand.storage.tables.cancelling import outbox, policies
from support.contracts import CONNECT
from support.database_contents import changed, contents
from support.manage_calls import manage, problem
from support.shared_world import shared_world
from support.world import NOON, Caller, World

world = shared_world

CONNECT_NAME = CONNECT.name


async def asked(world: World, operator: Caller, order: object, at: datetime) -> httpx.Response:
    return await manage(world, operator, "GET", f"{order}/cancellability?at={quote(at.isoformat())}")


def findings(decision: Decision) -> list[tuple[str, bool, str | None, str]]:
    return [(one.rule, one.passed, one.value, one.sentence) for one in decision.findings]


def shown(answer: httpx.Response) -> list[tuple[str, bool, str | None, str]]:
    assert answer.status_code == 200, answer.text
    return [(one["rule"], one["passed"], one["value"], one["message"]) for one in answer.json()["findings"]]


async def in_force(world: World, *, notice_h: int) -> Policy:
    """A policy that came into force now, on another node."""
    rules = [{"name": "state_allows"}, {"name": "no_appointment_within", "notice_h": notice_h}]
    policy = policy_of(CONNECT_NAME, rules)
    await world.database.store.keep_policies([policy], world.clock())
    return policy


async def forget_events(world: World, order_id: OrderId, *versions: int) -> None:
    of_order = outbox.c.order_id == order_id, outbox.c.order_version.in_(versions)
    async with world.database.store.transaction() as tx:
        assert await tx.run(delete(outbox).where(*of_order)) > 0


async def test_a_past_instant_is_decided_by_the_facts_of_then_and_says_so(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30))
    world.clock.forward(hours=5)
    refused = world.clock.now
    await world.cancel(me, order_id)
    world.clock.forward(hours=1)
    (visit,) = [row["id"] for row in await world.rows("appointments", order_id)]
    async with world.database.store.transaction() as tx:
        await cancel_appointment(tx, Actor(operator.client.id), order_id, AppointmentId(visit), world.clock())
    world.clock.forward(days=1)
    before = await contents(world)
    for at, cancellable, until in [
        (NOON, True, "2026-11-21T16:00:00Z"),
        (NOON + timedelta(hours=4), False, None),
        (refused, False, None),
        (NOON + timedelta(hours=6) - timedelta(microseconds=1), False, None),
        (NOON + timedelta(hours=6), True, None),
    ]:
        said = (await asked(world, operator, order_id, at)).json()
        assert (said["cancellable"], said["cancellable_until"]) == (cancellable, until), at
        assert (said["policy_source"], datetime.fromisoformat(said["at"])) == ("then", at)
        assert said["policy_version"] == world.database.policies.by_contract[CONNECT_NAME].version
    for at in (world.clock.now, world.clock.now + timedelta(hours=1)):
        assert (await asked(world, operator, order_id, at)).json()["policy_source"] == "now"
    assert (await manage(world, operator, "GET", f"{order_id}/cancellability")).json()["policy_source"] == "now"
    assert not changed(before, await contents(world))


async def test_before_the_order_was_placed_there_was_none(world: World):
    operator = await world.manage_client()
    world.clock.forward(hours=1)
    order_id = await world.service_order(await world.connect_client())
    world.clock.forward(hours=1)
    answer = await asked(world, operator, order_id, NOON + timedelta(minutes=59))
    assert problem(answer) == (404, "not_found")
    assert "2026-11-21T13:00:00Z" in answer.json()["detail"]
    assert (await asked(world, operator, order_id, NOON + timedelta(hours=1))).status_code == 200


async def test_at_the_instant_of_its_cancellation_an_order_could_be_cancelled_and_just_after_it_could_not(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me)
    world.clock.forward(hours=1)
    at = world.clock.now
    assert isinstance(await world.cancel(me, order_id), Cancelled)
    await world.cancel(me, order_id)  # refused at the same instant
    world.clock.forward(hours=1)
    for instant, cancellable in ((at, True), (at + timedelta(microseconds=1), False)):
        assert (await asked(world, operator, order_id, instant)).json()["cancellable"] is cancellable


# whose policy


async def test_the_policy_is_that_of_then_from_its_first_use_on(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=40))
    first = world.database.policies.by_contract[CONNECT_NAME]
    world.clock.forward(hours=2)
    strict = await in_force(world, notice_h=39)
    world.clock.forward(hours=2)
    last = await in_force(world, notice_h=2)
    world.clock.forward(hours=2)
    for hours, policy, cancellable in [(1, first, True), (3, strict, False)]:
        said = (await asked(world, operator, order_id, NOON + timedelta(hours=hours))).json()
        assert (said["policy_version"], said["cancellable"]) == (policy.version, cancellable)
    # This node still has the first policy in force: since when, after the last one, nobody knows.
    answer = await asked(world, operator, order_id, NOON + timedelta(hours=5))
    assert problem(answer) == (409, "past_unknown")
    assert "2026-11-21T16:00:00Z and 2026-11-21T18:00:00Z" in answer.json()["detail"]
    assert last.version not in answer.text


async def test_refusals_of_other_orders_say_which_policy_was_in_force(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me)
    other = await world.service_order(me, appointment_in=timedelta(hours=2))
    world.clock.forward(hours=1)
    strict = await in_force(world, notice_h=39)
    world.clock.forward(hours=1)
    await world.cancel(me, other)  # by the first policy, which is in force again
    world.clock.forward(hours=2)
    first = world.database.policies.by_contract[CONNECT_NAME]
    said = (await asked(world, operator, order_id, NOON + timedelta(hours=3))).json()
    assert said["policy_version"] == first.version != strict.version
    between = await asked(world, operator, order_id, NOON + timedelta(minutes=90))
    assert problem(between) == (409, "past_unknown")


async def test_without_a_policy_of_that_time_it_cannot_be_known(world: World):
    operator = await world.manage_client()
    order_id = await world.service_order(await world.connect_client())
    world.clock.forward(hours=2)
    async with world.database.store.transaction() as tx:
        await tx.run(update(policies).values(first_used_at=policies.c.first_used_at + 3_600_000_000))
    answer = await asked(world, operator, order_id, NOON + timedelta(minutes=30))
    assert problem(answer) == (409, "past_unknown")
    assert "2026-11-21T13:00:00Z" in answer.json()["detail"]
    assert (await asked(world, operator, order_id, NOON + timedelta(minutes=90))).status_code == 200


# what is deleted


async def test_where_events_are_deleted_what_is_left_still_answers_as_far_as_it_is_certain(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me)
    for move in (Transition.ACCEPT, Transition.HOLD, Transition.START, Transition.PASS_NO_RETURN):
        world.clock.forward(hours=1)
        await world.advance(order_id, move)
    world.clock.forward(hours=1)
    await forget_events(world, order_id, 1, 2)
    state = {}
    for hours in (0, 1, 2, 3, 4):
        answer = await asked(world, operator, order_id, NOON + timedelta(hours=hours, minutes=30))
        if answer.status_code == 200:
            state[hours] = answer.json()["findings"][0]["value"]
        else:
            assert problem(answer) == (409, "past_unknown")
            assert "from 2026-11-21T14:00:00Z on" in answer.json()["detail"]
    assert state == {2: "held", 3: "in_progress", 4: "past_no_return"}
    await forget_events(world, order_id, 5)
    answer = await asked(world, operator, order_id, NOON + timedelta(hours=4, minutes=30))
    assert problem(answer) == (409, "past_unknown")
    assert "ask about now" in answer.json()["detail"]


async def test_a_recorded_decision_is_known_though_all_events_are_deleted(world: World):
    me, operator = await world.connect_client(), await world.manage_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=20))
    world.clock.forward(hours=1)
    await world.cancel(me, order_id)
    world.clock.forward(hours=1)
    await forget_events(world, order_id, 1, 2)
    said = (await asked(world, operator, order_id, NOON + timedelta(hours=1))).json()
    assert (said["cancellable"], said["findings"][1]["value"]) == (False, "2026-11-22T08:00:00Z")


async def test_a_transfer_of_tickets_leaves_no_event_and_is_no_gap(world: World):
    shop, operator = await world.shopping_client(), await world.manage_client()
    view = await world.ticket_order(shop)
    world.clock.forward(minutes=1)
    await world.pay(view.order.id)
    world.clock.forward(minutes=1)
    async with world.database.store.transaction() as tx:
        given = TicketOrderGiven(consumer=Consumer(first_name="Zoë", last_name="Doe"))
        wanted = TransferOrder(ticket_uids=[view.tickets[0].uid], given=given)
        await transfer_tickets(tx, shop.client.id, wanted, world.clock())
    world.clock.forward(minutes=1)
    for seconds, state in [(30, "pending"), (90, "completed"), (150, "completed")]:
        said = (await asked(world, operator, view.order.uid, NOON + timedelta(seconds=seconds))).json()
        assert said["findings"][1]["value"] == state
    await forget_events(world, view.order.id, 2)
    assert problem(await asked(world, operator, view.order.uid, NOON + timedelta(seconds=90))) == (409, "past_unknown")


@pytest.mark.parametrize("deleted", [(), (1,)], ids=["forward from the first event", "back from the present"])
async def test_before_an_order_expired_it_was_pending(world: World, deleted: tuple[int, ...]):
    shop, operator = await world.shopping_client(), await world.manage_client()
    view = await world.ticket_order(shop)
    world.clock.forward(minutes=1)
    await world.advance(view.order.id, Transition.EXPIRE)
    world.clock.forward(minutes=1)
    assert (await world.rows("outbox", view.order.id))[-1]["kind"] == "order.expired"
    if deleted:
        await forget_events(world, view.order.id, *deleted)
    for seconds, state in [(30, "pending"), (90, "expired")]:
        said = (await asked(world, operator, view.order.uid, NOON + timedelta(seconds=seconds))).json()
        assert said["findings"][1]["value"] == state
