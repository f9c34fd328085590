"""Events reach every endpoint that wants them, in the order's own order, and nothing is lost or sent beside another."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from countermand.actions.delivering.attempts import LEASE
from countermand.actions.delivering.claimed import EndedAttempt
from countermand.actions.delivering.dispatch import HandedOut
from countermand.actions.delivering.endpoints import AttemptsWanted, Redelivery
from countermand.actions.delivering.redeliver import Redeliveries
from countermand.actions.delivering.sending import AttemptError, AttemptResult
from countermand.actions.errors import ConflictError, FieldsError, NotFoundError
from countermand.actions.privacy.ports import Place
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import PROBED_FROM, EndpointState, Subscription
from countermand.domain.delivering.schedule import Schedule
from countermand.domain.orders.order_state import Transition
from countermand.domain.privacy import Person
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.clients import clients
from countermand.storage.tables.delivering import deliveries, delivery_attempts, endpoints
from support.deliveries import FAILURE, SUCCESS, Deliveries, shown
from support.shared_world import shared_world
from support.world import World

world = shared_world


async def states(world: World) -> list[str]:
    return [row["state"] for row in await world.rows("deliveries")]


async def test_an_endpoint_hears_what_is_written_after_its_creation_and_nothing_before(world):
    out = Deliveries(world)
    me = await world.connect_client()
    before = await world.service_order(me)
    endpoint = await out.endpoint()
    assert await out.until_done(endpoint) == []

    await world.advance(before, Transition.ACCEPT)
    new = await world.service_order(me)
    sent = await out.until_done(endpoint)

    assert {(one.event_id.split("_")[1], one.order_version) for one in sent} == {
        (f"connect-{before}", 2),
        (f"connect-{new}", 1),
    }
    assert set(await states(world)) == {"delivered"}
    assert await world.rows("delivery_lanes") == []


async def test_without_an_endpoint_nothing_is_read_or_marked(world):
    out = Deliveries(world)
    await world.service_order(await world.connect_client())

    assert await out.dispatch() == HandedOut()
    assert {row["delivered_at"] for row in await world.rows("outbox")} == {None}


async def test_first_arrivals_of_an_order_are_in_its_own_order_and_name_the_event_before(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    order_id = await world.service_order(me, appointment_in=timedelta(hours=30), moves=(Transition.ACCEPT,))
    await world.cancel(me, order_id)

    sent = await out.until_done(endpoint)

    assert shown(sent) == [
        (1, "order.placed"),
        (2, "appointment.set"),
        (3, "order.advanced"),
        (4, "order.cancelled"),
        (4, "appointment.cancelled"),
    ]
    assert [one.previous for one in sent] == [None, *(one.event_id for one in sent[:-1])]
    assert all("." not in one.event_id for one in sent)


async def test_at_most_one_event_of_an_order_is_under_way_and_other_orders_do_not_wait_for_it(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    stuck = await world.service_order(me, moves=(Transition.ACCEPT,))
    await out.hand_out()
    (held,) = await out.attempts.claim(await out.current(endpoint), 10)

    other = await world.service_order(me, moves=(Transition.ACCEPT,))
    sent = await out.until_done(endpoint)

    assert {one.event_id.split("_")[1] for one in sent} == {f"connect-{other}"}
    await out.attempts.record([EndedAttempt(claimed=held, result=SUCCESS)])
    assert [one.event_id.split("_")[1] for one in await out.until_done(endpoint)] == [f"connect-{stuck}"]


async def test_the_lease_of_a_dead_node_ends_and_the_attempt_is_made_again_with_the_same_bytes(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    order_id = await world.service_order(await world.connect_client())
    await out.hand_out()
    (lost,) = await out.attempts.claim(await out.current(endpoint), 10)
    await world.advance(order_id, Transition.ACCEPT)

    world.clock.now += LEASE - timedelta(microseconds=1)
    assert await out.once(endpoint) == []
    world.clock.now += timedelta(microseconds=1)
    (again,) = await out.once(endpoint)

    assert (again.event_id, again.body, again.attempt) == (lost.sending.event_id, lost.sending.body, 2)
    rows = await world.rows("delivery_attempts")
    assert [(row["attempt"], row["error"], row["outcome"]) for row in rows] == [
        (1, "cut_off", "failed"),
        (2, None, "delivered"),
    ]


async def test_a_node_that_was_away_for_longer_than_its_lease_changes_nothing_of_the_lane(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    order_id = await world.service_order(await world.connect_client())
    await out.hand_out()
    (late,) = await out.attempts.claim(await out.current(endpoint), 10)
    world.clock.now += LEASE
    (held,) = await out.attempts.claim(await out.current(endpoint), 10)
    await world.advance(order_id, Transition.ACCEPT)
    await out.hand_out()

    await out.attempts.record([EndedAttempt(claimed=late, result=FAILURE)])

    assert await out.attempts.claim(await out.current(endpoint), 10) == []
    await out.attempts.record([EndedAttempt(claimed=held, result=SUCCESS)])
    assert shown(await out.until_done(endpoint)) == [(2, "order.advanced")]


async def test_a_failed_event_follows_the_schedule_and_is_given_up_at_a_healthy_endpoint(world):
    out = Deliveries(world, schedule=Schedule(pauses=(timedelta(seconds=5), timedelta(seconds=30))))
    endpoint = await out.endpoint()
    me = await world.connect_client()
    poisoned = await world.service_order(me, moves=(Transition.ACCEPT,))
    out.answer = lambda sending: FAILURE if f"-{poisoned}_1_" in sending.event_id else SUCCESS

    assert shown(await out.until_done(endpoint)) == [(1, "order.placed")]
    world.clock.forward(seconds=3.9)
    assert await out.once(endpoint) == []
    world.clock.forward(seconds=2.2)
    assert [one.attempt for one in await out.once(endpoint)] == [2]
    await world.service_order(me)
    await out.until_done(endpoint)
    await out.wait_until_due()
    sent = await out.until_done(endpoint)

    assert [(one.order_version, one.attempt) for one in sent] == [(1, 3), (2, 1)]
    assert sent[1].previous == sent[0].event_id
    _, backlog = await out.endpoints.one(endpoint.id, None)
    assert (backlog.undelivered, backlog.given_up) == (0, 1)
    attempts = await out.endpoints.attempts(None, AttemptsWanted(outcome="given_up"), 10)
    assert [(one.event_id, one.order) for one in attempts] == [(sent[0].event_id, f"connect-{poisoned}")]


async def test_while_the_endpoint_has_had_no_success_an_event_is_never_given_up(world):
    out = Deliveries(world, schedule=Schedule(pauses=(timedelta(seconds=5),)), answer=lambda _: FAILURE)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())

    for _ in range(5):
        await out.until_done(endpoint)
        await out.wait_until_due()
    assert await states(world) == ["pending"]

    out.answer = lambda _: SUCCESS
    assert [one.attempt for one in await out.until_done(endpoint)] == [6]
    assert await states(world) == ["delivered"]


async def test_an_endpoint_that_is_down_gets_one_probe_at_a_time_and_all_the_rest_when_it_is_back(world):
    out = Deliveries(world, answer=lambda _: FAILURE)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    orders = [await world.service_order(me) for _ in range(PROBED_FROM)]
    assert len(await out.once(endpoint)) == len(orders)

    for probes in range(3):
        assert await out.once(endpoint) == [], probes
        await out.wait_until_due()
        (probe,) = await out.once(endpoint)
        assert f"-{orders[-1] if probes == 0 else orders[0]}_" in probe.event_id
    out.answer = lambda _: SUCCESS
    await out.wait_until_due()
    assert len(await out.once(endpoint)) == 1
    world.clock.forward(seconds=1)
    assert len(await out.once(endpoint)) == len(orders) - 1


async def test_an_endpoint_is_failing_then_paused_and_others_hear_of_it(world):
    out = Deliveries(world, answer=lambda sending: FAILURE if sending.endpoint.id == bad.id else SUCCESS)
    bad, other = await out.endpoint(), await out.endpoint(kinds=frozenset({"endpoint.failing", "endpoint.paused"}))
    await world.service_order(await world.connect_client())
    await out.once(bad)
    world.clock.forward(minutes=59, seconds=59)
    await out.once(bad)
    assert (await out.current(bad)).health.failing_since is None
    world.clock.forward(hours=2)
    await out.once(bad)
    assert shown(await out.until_done(other)) == [(1, "endpoint.failing")]

    world.clock.forward(days=5)
    await out.once(bad)

    assert (await out.current(bad)).state is EndpointState.PAUSED
    assert shown(await out.until_done(other)) == [(2, "endpoint.paused")]
    assert await out.once(bad) == []
    await out.endpoints.resume(bad.id, None)
    out.answer = lambda _: SUCCESS
    assert len(await out.until_done(bad)) == 1


@pytest.mark.parametrize("result", [AttemptResult(error=AttemptError.STATUS, duration_ms=1, status=410, disables=True)])
async def test_a_receiver_that_is_gone_pauses_its_endpoint_and_keeps_everything(world, result):
    out = Deliveries(world, answer=lambda _: result)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client(), moves=(Transition.ACCEPT,))

    await out.until_done(endpoint)

    assert (await out.current(endpoint)).state is EndpointState.PAUSED
    _, backlog = await out.endpoints.one(endpoint.id, None)
    assert backlog.undelivered == 2


async def test_resume_sends_what_was_given_up_too_oldest_first(world):
    aborted = AttemptResult(error=AttemptError.STATUS, duration_ms=1, status=422, aborts=True)
    out = Deliveries(world, answer=lambda _: aborted)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client(), moves=(Transition.ACCEPT,))
    await out.until_done(endpoint)
    assert await states(world) == ["given_up", "given_up"]

    out.answer = lambda _: SUCCESS
    await out.endpoints.resume(endpoint.id, None)

    assert shown(await out.until_done(endpoint)) == [(1, "order.placed"), (2, "order.advanced")]


async def test_filters_and_owners_let_through_what_they_name_and_nothing_else(world):
    out = Deliveries(world)
    me, other, shop = await world.connect_client(), await world.connect_client("other"), await world.shopping_client()
    of_me = await out.endpoint(client_id=me.client.id)
    of_shopping = await out.endpoint(contract="shopping")
    placed = await out.endpoint(kinds=frozenset({"order.placed"}))
    cancelled = await out.endpoint(dialect="connect")
    mine = await world.service_order(me)
    others = await world.service_order(other)
    ticket = (await world.ticket_order(shop)).order
    await world.cancel(me, mine)

    def subjects(sent):
        return sorted(one.event_id.split("_", 1)[1].split("_")[0] for one in sent)

    assert subjects(await out.until_done(of_me)) == [f"connect-{mine}"] * 2
    assert subjects(await out.until_done(of_shopping)) == [f"shopping-{ticket.uid}"]
    assert subjects(await out.until_done(placed)) == sorted(
        [f"connect-{mine}", f"connect-{others}", f"shopping-{ticket.uid}"]
    )
    assert shown(await out.until_done(cancelled)) == [(2, "order.cancelled")]


async def test_redelivery_sends_one_event_or_all_after_a_position_under_the_same_ids(world):
    out = Deliveries(world)
    me = await world.connect_client()
    order_id = await world.service_order(me)
    feed = out.endpoints._parts.feed
    start = (await feed.read(None, 1)).following
    endpoint = await out.endpoint()
    await world.advance(order_id, Transition.ACCEPT)
    (first,) = await out.until_done(endpoint)

    assert await out.endpoints.redeliver(endpoint.id, None, Redelivery(event=first.event_id)) == 1
    (again,) = await out.until_done(endpoint)
    assert (again.event_id, again.attempt) == (first.event_id, 1)

    await world.advance(order_id, Transition.START)
    assert await out.endpoints.redeliver(endpoint.id, None, Redelivery(after=start)) == 2
    assert [one.order_version for one in await out.until_done(endpoint)] == [2, 3]
    with pytest.raises(FieldsError, match="hears of no event"):
        await out.endpoints.redeliver(endpoint.id, None, Redelivery(event=first.event_id[:-1] + "x"))


async def test_redelivery_of_what_failed_between_two_instants_leaves_out_what_arrived_since(world):
    aborted = AttemptResult(error=AttemptError.STATUS, duration_ms=1, status=422, aborts=True)
    out = Deliveries(world, answer=lambda _: aborted)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    begin = world.clock()
    lost = await world.service_order(me)
    await out.until_done(endpoint)
    world.clock.forward(seconds=10)
    end = world.clock()
    await world.service_order(me)
    await out.until_done(endpoint)
    out.answer = lambda _: SUCCESS

    assert await out.endpoints.redeliver(endpoint.id, None, Redelivery(failed_since=begin, failed_until=end)) == 1
    assert [one.event_id.split("_")[1] for one in await out.until_done(endpoint)] == [f"connect-{lost}"]
    assert await out.endpoints.redeliver(endpoint.id, None, Redelivery(failed_since=begin, failed_until=end)) == 0


async def test_a_removed_endpoint_gets_nothing_and_does_not_exist_any_more(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    await out.hand_out()
    (held,) = await out.attempts.claim(endpoint, 10)

    await out.endpoints.remove(endpoint.id, None)

    await out.attempts.record([EndedAttempt(claimed=held, result=SUCCESS)])
    assert await out.endpoints.all(None) == []
    with pytest.raises(NotFoundError):
        await out.endpoints.one(endpoint.id, None)
    async with world.database.store.transaction() as tx:
        while await tx.forget_removed(1):
            pass
    assert await world.rows("deliveries") == [] == await world.rows("delivery_lanes")


@pytest.mark.parametrize("way", ["event", "failed", "after"])
async def test_sending_again_to_an_endpoint_that_is_removed_meanwhile_leaves_nothing_behind(world, way):
    """What waits for a removed endpoint keeps its event for ever, once the endpoint is forgotten."""
    out = Deliveries(world, answer=lambda _: FAILURE)
    endpoint = await out.endpoint()
    await world.service_order(await world.connect_client())
    (sent,) = await out.once(endpoint)
    parts = out.endpoints._parts
    page = await parts.feed.read(None, 10)
    now = world.clock()
    which = {
        "event": Redelivery(event=sent.event_id),
        "failed": Redelivery(failed_since=now, failed_until=now + timedelta(minutes=1)),
        "after": Redelivery(after=page.events[0][0].partition("-")[0] + "-0"),
    }
    await out.endpoints.remove(endpoint.id, None)
    async with world.database.store.transaction() as tx:
        while await tx.forget_removed(10):
            pass

    with pytest.raises(NotFoundError):
        await Redeliveries(world.database.store, out.dispatch, parts.feed, parts.shared_clock).send(
            endpoint, which[way]
        )

    assert await world.rows("deliveries") == [] == await world.rows("delivery_lanes")


async def test_an_owner_manages_only_endpoints_of_its_own(world):
    out = Deliveries(world)
    me = (await world.connect_client()).client.id
    endpoint = await out.endpoint()

    assert await out.endpoints.all(me) == []
    for refused in (
        out.endpoints.one,
        out.endpoints.pause,
        out.endpoints.resume,
        out.endpoints.remove,
        out.endpoints.test,
    ):
        with pytest.raises(NotFoundError):
            await refused(endpoint.id, me)
    assert (await out.current(endpoint)).state is EndpointState.ACTIVE


async def test_a_partner_does_not_learn_which_person_of_the_operator_approved_a_cancellation(world):
    out = Deliveries(world)
    me = await world.connect_client()
    wanted = Subscription(contract=ContractName("connect"), client_id=me.client.id)
    own = (await out.endpoints.add("https://example.com/own", wanted, me.client.id)).endpoint
    operators = await out.endpoint()
    await world.service_order(me)
    async with world.database.store.transaction() as tx:
        await tx.run(update(outbox).values(details='{"from": "submitted", "approved_by": "kim"}'))

    (to_partner,), (to_operator,) = await out.until_done(own), await out.until_done(operators)

    assert json.loads(to_partner.body)["details"] == {"from": "submitted"}
    assert json.loads(to_operator.body)["details"] == {"from": "submitted", "approved_by": "kim"}
    assert to_partner.event_id == to_operator.event_id


async def test_a_second_rotation_waits_for_the_overlap_unless_the_old_secret_is_revoked(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    day = timedelta(days=1)
    await out.endpoints.rotate(endpoint.id, None, day, revoke_old_now=False)
    world.clock.now += day - timedelta(microseconds=1)
    with pytest.raises(ConflictError, match="works until"):
        await out.endpoints.rotate(endpoint.id, None, day, revoke_old_now=False)
    made = await out.endpoints.rotate(endpoint.id, None, day, revoke_old_now=True)
    assert made.endpoint.previous_secret is None
    await out.endpoints.rotate(endpoint.id, None, timedelta(0), revoke_old_now=False)
    made = await out.endpoints.rotate(endpoint.id, None, day, revoke_old_now=False)
    assert (await out.current(endpoint)).previous_secret_until == world.clock() + day


async def test_a_test_goes_out_at_once_and_stands_in_the_log_but_not_in_the_feed(world):
    out = Deliveries(world, answer=lambda _: FAILURE)
    endpoint = await out.endpoint()

    attempt = await out.endpoints.test(endpoint.id, None)

    assert (attempt.kind, attempt.status, attempt.outcome, attempt.order) == ("endpoint.test", 500, "failed", None)
    assert [one.event_id for one in out.sent] == [attempt.event_id]
    assert await out.endpoints.attempts(None, AttemptsWanted(endpoint_id=endpoint.id), 10) == [attempt]
    assert await world.rows("outbox") == []


async def test_two_nodes_that_claim_at_once_never_hold_the_same_order(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    me = await world.connect_client()
    for _ in range(6):
        await world.service_order(me)
    await out.hand_out()

    claims = await asyncio.gather(*(out.attempts.claim(endpoint, 2) for _ in range(5)))

    held = [one.delivery.key.order_id for claimed in claims for one in claimed]
    assert len(held) == len(set(held)) == 6


async def test_what_only_a_newer_version_can_say_waits_for_a_node_of_that_version(world):
    out = Deliveries(world)
    newer, usual = await out.endpoint(), await out.endpoint()
    await world.service_order(await world.connect_client())
    async with world.database.store.transaction() as tx:
        await tx.run(update(endpoints).where(endpoints.c.number == newer.number).values(dialect="of_tomorrow"))
        await tx.run(update(outbox).values(kind="order.reborn"))

    assert await out.until_done(usual) == await out.until_done(newer) == []
    assert await states(world) == ["pending", "pending"]

    async with world.database.store.transaction() as tx:
        await tx.run(update(endpoints).values(dialect="standard"))
        await tx.run(update(outbox).values(kind="order.placed"))
        await tx.run(update(deliveries).values(kind="order.placed"))
    world.clock.forward(minutes=1)
    assert shown(await out.until_done(newer)) == shown(await out.until_done(usual)) == [(1, "order.placed")]


async def test_an_endpoint_in_a_state_of_a_newer_version_gets_nothing_and_keeps_everything(world):
    out = Deliveries(world)
    endpoint = await out.endpoint()
    async with world.database.store.transaction() as tx:
        await tx.run(update(endpoints).values(state="dreaming"))
    await world.service_order(await world.connect_client())

    assert await out.until_done(endpoint) == []
    assert await states(world) == ["pending"]
    assert (await out.current(endpoint)).state is EndpointState.PAUSED


async def test_an_error_that_this_version_does_not_know_is_shown_as_it_is(world):
    out = Deliveries(world, answer=lambda _: FAILURE)
    endpoint = await out.endpoint()
    await out.endpoints.test(endpoint.id, None)
    async with world.database.store.transaction() as tx:
        await tx.run(update(delivery_attempts).values(error="eclipse"))

    (attempt,) = await out.endpoints.attempts(None, AttemptsWanted(), 10)
    assert attempt.error == "eclipse"


async def test_a_forgetting_drops_what_receivers_answered_to_events_of_the_order_and_no_other_answer(world):
    """A receiver may answer with what it got."""
    out = Deliveries(world, answer=lambda one: replace(FAILURE, answer=one.body))
    endpoint = await out.endpoint()
    shop = await world.shopping_client()
    forgotten, other = (await world.ticket_order(shop)).order.id, (await world.ticket_order(shop)).order.id
    await world.cancel(shop, forgotten, reason="ann@example.com asked")
    await world.cancel(shop, other, reason="bob@example.com asked")
    await out.until_done(endpoint)
    person = Person(email="ann@example.com")

    assert await world.database.privacy.forget(Place.EVENTS, (forgotten, 2, "order.cancelled"), person)

    answers = {row["order_id"]: row["answer"] for row in await world.rows("delivery_attempts")}
    assert answers[forgotten] is None
    assert answers[other] is not None


async def test_a_forgetting_keeps_the_id_of_an_event_and_lets_its_body_be_made_again(world):
    out = Deliveries(world, answer=lambda _: FAILURE)
    endpoint = await out.endpoint()
    shop = await world.shopping_client()
    view = await world.ticket_order(shop)
    order = view.order
    await world.cancel(shop, order.id, reason="ann@example.com asked")
    first = await out.until_done(endpoint)
    person = Person(email="ann@example.com")
    async with world.database.store.snapshot() as reading:
        key = (order.id, 2, "order.cancelled")
        assert (await reading.rows(outbox.select().where(outbox.c.kind == key[2])))[0]["digest"] is None

    assert await world.database.privacy.forget(Place.EVENTS, key, person)

    assert [row["body"] for row in await world.rows("deliveries")] == [None, None]
    out.answer = lambda _: SUCCESS
    await out.wait_until_due()
    again = await out.until_done(endpoint)
    assert again[0].event_id == first[0].event_id
    async with world.database.store.snapshot() as reading:
        rows = await reading.rows(deliveries.select().where(deliveries.c.kind == "order.cancelled"))
        events = await reading.rows(outbox.select().where(outbox.c.kind == "order.cancelled"))
    assert rows[0]["digest"] == events[0]["digest"]


@pytest.mark.parametrize("taken", ["the permission", "the client"])
async def test_an_owner_who_may_not_subscribe_any_more_gets_nothing_and_loses_nothing(world, taken):
    out = Deliveries(world)
    me = await world.connect_client()
    wanted = Subscription(contract="connect", client_id=me.client.id)
    endpoint = (await out.endpoints.add("https://example.com/hook", wanted, me.client.id)).endpoint
    others = await out.endpoint()
    await world.service_order(me)
    gone = {"revoked_at": 1} if taken == "the client" else {"more_permissions": None}
    async with world.database.store.transaction() as tx:
        before = await tx.rows(clients.select().where(clients.c.id == me.client.id))
        await tx.run(update(clients).where(clients.c.id == me.client.id).values(gone))

    assert await out.until_done(endpoint) == []
    assert len(await out.until_done(others)) == 1
    async with world.database.store.transaction() as tx:
        await tx.run(
            update(clients).where(clients.c.id == me.client.id).values({name: before[0][name] for name in gone})
        )
    assert shown(await out.until_done(endpoint)) == [(1, "order.placed")]


async def test_a_late_failure_does_not_undo_what_another_node_delivered_meanwhile(world):
    aborted = AttemptResult(error=AttemptError.STATUS, duration_ms=1, status=422, aborts=True)
    out = Deliveries(world)
    endpoint = await out.endpoint()
    order_id = await world.service_order(await world.connect_client())
    await out.hand_out()
    (late,) = await out.attempts.claim(endpoint, 10)
    world.clock.now += LEASE
    await out.until_done(endpoint)

    await out.attempts.record([EndedAttempt(claimed=late, result=aborted)])

    assert await states(world) == ["delivered"]
    await world.advance(order_id, Transition.ACCEPT)
    assert shown(await out.until_done(endpoint)) == [(2, "order.advanced")]
    assert await world.rows("delivery_lanes") == []
