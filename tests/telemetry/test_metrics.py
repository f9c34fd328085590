"""What `/metrics` tells: every number by what really happened, and nothing about anybody in particular."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from sqlalchemy import text

from countermand import __version__
from countermand.actions.errors import UnavailableError
from countermand.domain.client import Permission
from support.deliveries import Deliveries
from support.world import World, a_world

CONNECT = "/api/connect/orders/cancel"
SHOPPING = "/ordercancellation/"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Labels = frozenset[tuple[str, str]]


@pytest.mark.parametrize(
    ("accept", "media_type", "read"),
    [
        (OPEN_METRICS, "application/openmetrics-text; version=1.0.0", open_metrics),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text", open_metrics),
        ("text/plain", "text/plain; version=0.0.4", plain_text),
        ("", "text/plain; version=0.0.4", plain_text),
        ("application/openmetrics-text; version=soon", "text/plain; version=0.0.4", plain_text),
    ],
)
async def test_a_scraper_gets_the_format_it_asks_for_without_a_credential(
    accept: str, media_type: str, read, world: World
):
    page = await world.http.get("/metrics", headers={"Accept": accept})

    assert (page.status_code, page.headers["content-type"][: len(media_type)]) == (200, media_type)
    families = {family.name for family in read(page.text)}
    assert {"countermand_build", "countermand_build_info"} & families
    assert "countermand_queue_commands" in families


async def test_switched_off_there_is_no_such_page(tmp_path: Path):
    async with a_world(tmp_path, metrics=False) as world:
        assert (await world.http.get("/metrics")).status_code == 404


async def test_a_cancellation_counts_once_under_its_door_its_outcome_and_its_code(both_worlds: World):
    world = both_worlds
    partner, shop, operator = await world.connect_client(), await world.shopping_client(), await world.manage_client()
    reader = await world.shopping_client(permissions=frozenset({Permission.READ}))
    order, ticket = await world.service_order(partner), await world.ticket_order(shop)
    paid, other = await world.ticket_order(shop, paid=True), await world.service_order(partner)
    connect, shopping = world.connect_headers(partner), world.shopping_headers(shop)

    async def cancel_ticket(view, headers: Mapping[str, str] = shopping) -> int:
        asked = {"order": world.uri(view), "reason": "The buyer asked"}
        return (await world.http.post(SHOPPING, headers=headers, json=asked)).status_code

    async def cancel(body: bytes, headers: Mapping[str, str] = connect) -> int:
        return (await world.http.post(CONNECT, headers=headers, content=body)).status_code

    assert await cancel(b'{"orderId": %d}' % order) == 200
    assert await cancel(b'{"orderId": %d}' % order) == 422
    assert await cancel(b'{"orderId": %d}' % order) == 422
    assert await cancel(b'{"orderId": 999999}') == 404
    assert await cancel(b"{") == 400
    assert await cancel(b"{}", {**connect, "Authorization": "Bearer x"}) == 401
    assert await cancel_ticket(ticket) == 200
    assert await cancel_ticket(paid) == 403
    assert await cancel_ticket(paid, world.shopping_headers(reader)) == 403
    asked = {"reason": "The customer rang"}
    for wanted in (200, 409):
        path = f"/manage/v1/orders/connect-{other}/cancel"
        done = await world.http.post(path, headers=world.manage_headers(operator), json=asked)
        assert done.status_code == wanted
    for code, wanted in (("appointment_within_notice", 409), ("payment_recorded", 200)):
        path = f"/manage/v1/orders/{paid.order.uid}/cancel"
        done = await world.http.post(path, headers=world.manage_headers(operator), json=asked | {"override": [code]})
        assert done.status_code == wanted

    counted = await counted_sample(world, "countermand_cancellations_total")
    assert counted == {
        labels(door="connect", outcome="cancelled", code=""): 1,
        labels(door="connect", outcome="refused", code="order_not_cancellable"): 2,
        labels(door="connect", outcome="not_found", code=""): 1,
        labels(door="connect", outcome="invalid", code=""): 1,
        labels(door="connect", outcome="unauthorized", code=""): 1,
        labels(door="shopping", outcome="cancelled", code=""): 1,
        labels(door="shopping", outcome="refused", code="payment_recorded"): 1,
        labels(door="shopping", outcome="forbidden", code=""): 1,
        labels(door="manage", outcome="cancelled", code=""): 2,
        labels(door="manage", outcome="refused", code="order_not_cancellable"): 1,
        labels(door="manage", outcome="refused", code="override_differs"): 1,
    }
    assert await counted_sample(world, "countermand_cancellations_total") == counted, "a scrape counts nothing"


async def test_requests_are_timed_by_route_and_never_by_what_a_caller_wrote_into_the_path(world: World):
    partner = await world.connect_client()
    headers = world.connect_headers(partner)
    orders = [await world.service_order(partner) for _ in range(3)]
    for order in orders:
        assert (await world.http.get(f"/api/connect/orders/{order}", headers=headers)).status_code == 200
    for name in ("one", "two", "three"):
        assert (await world.http.get(f"/nowhere/{name}")).status_code == 404
        assert (await world.http.request(name.upper(), CONNECT)).status_code == 405
        assert (await world.http.request(name.upper(), "/healthz")).status_code == 405

    counted = await counted_sample(world, "countermand_request_seconds_count")
    assert counted == {
        labels(method="GET", route="/api/connect/orders/{id}", status="2xx"): 3,
        labels(method="other", route="none", status="4xx"): 6,
        labels(method="other", route=CONNECT, status="4xx"): 3,
    }
    page = (await world.http.get("/metrics")).text
    assert [word for word in ("nowhere", "ONE", f"/{orders[0]}") if word in page] == []
    buckets = await sample(world, "countermand_request_seconds_bucket")
    assert sum(number for name, number in buckets.items() if ("le", "+Inf") in name) == 12 + 2  # and two scrapes
    sums = await counted_sample(world, "countermand_request_seconds_sum")
    assert set(counted) <= set(sums)


@pytest.mark.parametrize("outcome", ["unknown", "failed", "unavailable"])
async def test_an_alert_on_the_first_failure_has_a_value_before_it_to_compare_with(world: World, outcome: str):
    before = await sample(world, "countermand_cancellations_total")
    for door in ("connect", "shopping", "manage"):
        assert before[labels(door=door, outcome=outcome, code="")] == 0


async def test_an_alert_on_the_first_5xx_of_a_route_has_a_value_before_it_to_compare_with(world: World):
    before = await sample(world, "countermand_request_seconds_count")
    failures = {named: number for named, number in before.items() if ("status", "5xx") in named}
    for method, route in [("POST", CONNECT), ("POST", SHOPPING), ("GET", "/orders/{uid}"), ("POST", "/orders")]:
        assert failures[labels(method=method, route=route, status="5xx")] == 0
    assert len(failures) > 30
    assert set(failures.values()) == {0}


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells them on Linux alone")
async def test_the_usual_numbers_of_the_process_are_there(world: World):
    page = await world.http.get("/metrics", headers={"Accept": OPEN_METRICS})
    found = {one.name: one.value for family in open_metrics(page.text) for one in family.samples}
    assert found["process_resident_memory_bytes"] > 1e7
    assert found["process_virtual_memory_bytes"] >= found["process_resident_memory_bytes"]
    assert 0 < found["process_open_fds"] < found["process_max_fds"]
    assert 0 < found["process_start_time_seconds"] < time.time()
    assert found["process_cpu_seconds_total"] > 0
    later = await sample(world, "process_cpu_seconds_total")
    assert later[labels()] >= found["process_cpu_seconds_total"]


async def test_every_batch_and_every_command_answered_from_what_was_done_before_is_counted(world: World):
    partner = await world.connect_client()
    order = await world.service_order(partner)
    headers = world.connect_headers(partner)

    assert await sample(world, "countermand_duplicates_absorbed_total") == {labels(): 0}
    replies = [
        await world.http.post(CONNECT, headers=headers | {"Idempotency-Key": "k"}, json={"orderId": order})
        for _ in range(3)
    ]

    assert [reply.status_code for reply in replies] == [200, 200, 200]
    assert await sample(world, "countermand_batch_commands_sum") == {labels(): 3}
    assert await sample(world, "countermand_batch_commands_count") == {labels(): 3}
    assert await sample(world, "countermand_duplicates_absorbed_total") == {labels(): 2}
    assert await sample(world, "countermand_queue_commands") == {labels(): 0}
    assert await sample(world, "countermand_turned_away_total") == {labels(): 0}


async def test_what_a_full_queue_turns_away_is_counted_and_nothing_else_is(tmp_path: Path):
    async with a_world(tmp_path, queue_cap=2) as world:
        partner = await world.connect_client()
        first, *orders = [await world.service_order(partner) for _ in range(7)]
        async with world.database.store.transaction():  # the batch of the first waits for it
            flying = asyncio.create_task(world.cancel(partner, first))
            for _ in range(20):
                await asyncio.sleep(0)
            going = [asyncio.create_task(world.cancel(partner, order)) for order in orders]
            finished = asyncio.as_completed(going)
            for _ in range(4):
                with pytest.raises(UnavailableError):
                    await next(finished)
            assert await sample(world, "countermand_queue_commands") == {labels(): 2}
        outcomes = await asyncio.gather(flying, *going, return_exceptions=True)
        assert [type(one).__name__ for one in outcomes] == ["Cancelled"] * 3 + ["UnavailableError"] * 4
        assert await sample(world, "countermand_turned_away_total") == {labels(): 4}
        assert await sample(world, "countermand_queue_commands") == {labels(): 0}
        assert len(await world.rows("cancellations")) == 3


async def test_requests_of_connect_are_counted_by_the_version_they_are_made_in(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)

    async def ask(version: str, method: str, path: str, body: object = None, **more: str) -> int:
        headers = world.connect_headers(me, X_API_VERSION=version) | more
        return (await world.http.request(method, path, headers=headers, json=body)).status_code

    assert await ask("1", "GET", f"/api/connect/orders/{order_id}") == 200
    assert await ask("1", "GET", "/api/connect/orders/999999") == 404
    assert await ask("4", "POST", "/api/connect/orders/create", {}) == 422
    assert await ask("8", "POST", CONNECT, {"orderId": order_id}) == 200
    assert await ask("8", "POST", CONNECT, {"orderId": order_id}) == 422
    # Nobody, no version, or no call at all.
    assert await ask("8", "POST", CONNECT, {"orderId": order_id}, Authorization="Bearer x") == 401
    assert await ask("9", "GET", f"/api/connect/orders/{order_id}") == 400
    assert await ask("8", "PUT", CONNECT) == 405
    assert await ask("8", "GET", "/api/connect/nowhere") == 404

    for _ in range(2):  # looking counts nothing
        assert await sample(world, "countermand_connect_requests_total") == {
            labels(version="1"): 2,
            labels(version="4"): 1,
            labels(version="8"): 2,
        }


async def test_the_outbox_is_as_old_as_its_oldest_event_that_an_endpoint_waits_for(world: World):
    partner = await world.connect_client()
    await world.service_order(partner)  # before there is an endpoint
    world.clock.forward(seconds=90)
    await Deliveries(world).endpoint()
    before = await sample(world, "countermand_outbox_age_seconds")
    for _ in range(2):
        order = await world.service_order(partner)
        reply = await world.http.post(CONNECT, headers=world.connect_headers(partner), json={"orderId": order})
        assert reply.status_code == 200
        world.clock.forward(seconds=90)

    assert before == {labels(): 0}
    assert await sample(world, "countermand_outbox_age_seconds") == {labels(): 180}


async def test_an_outbox_that_is_gone_fails_no_scrape(world: World):
    await Deliveries(world).endpoint()
    async with world.database.store.transaction() as tx:
        await tx.run(text("ALTER TABLE outbox RENAME TO elsewhere"))
    page = await world.http.get("/metrics")
    assert page.status_code == 200
    assert "countermand_build_info" in page.text
    assert "outbox_age" not in page.text


async def test_a_database_that_hangs_fails_no_scrape_and_is_asked_once(postgres_world: World):
    world = postgres_world
    await Deliveries(world).endpoint()
    async with locked(world, "outbox", "schema_notes"):
        asked = [asyncio.create_task(world.http.get("/metrics")) for _ in range(5)]
        hanging = await hanging_statements(world)
        scrapes = await asyncio.gather(*asked)
        again = await world.http.get("/metrics")
        readiness = await asyncio.gather(*(world.http.get("/readyz") for _ in range(3)))

    assert {page.status_code for page in [*scrapes, again]} == {200}
    assert [page for page in [*scrapes, again] if "outbox_age" in page.text] == []
    assert {(one.status_code, one.json()["reason"]) for one in readiness} == {(503, "the database cannot be used")}
    assert hanging == 1, "however often it is asked meanwhile"
    assert (await world.http.get("/readyz")).status_code == 200
    assert await sample(world, "countermand_outbox_age_seconds") == {labels(): 0}


async def test_it_says_what_is_running(world: World):
    assert await sample(world, "countermand_build_info") == {labels(version=__version__): 1}
    assert await sample(world, "countermand_workers") == {labels(): 1}


async def test_no_number_is_of_a_client_or_an_order(world: World):
    partner, shop = await world.connect_client("acme"), await world.shopping_client()
    order, ticket = await world.service_order(partner), await world.ticket_order(shop)
    await world.http.post(CONNECT, headers=world.connect_headers(partner), json={"orderId": order})
    asked = {"order": world.uri(ticket), "reason": "The buyer asked"}
    await world.http.post(SHOPPING, headers=world.shopping_headers(shop), json=asked)

    page = (await world.http.get("/metrics")).text
    assert set(re.findall(r'([a-z_]+)="', page)) <= {
        *(
            "code",
            "door",
            "endpoint",
            "le",
            "method",
            "outcome",
            "route",
            "statement",
            "status",
            "step",
            "version",
            "why",
        )
    }
    assert [one for one in ("acme", ticket.order.uid, shop.key) if one and one in page] == []


def labels(**named: str) -> Labels:
    return frozenset(named.items())


async def counted_sample(world: World, name: str) -> dict[Labels, float]:
    """Those of them that something was counted in."""
    return {named: number for named, number in (await sample(world, name)).items() if number}


async def sample(world: World, name: str) -> dict[Labels, float]:
    """Every sample of one name, by its labels."""
    page = await world.http.get("/metrics", headers={"Accept": OPEN_METRICS})
    assert page.status_code == 200
    found = [one for family in open_metrics(page.text) for one in family.samples]
    return {labels(**one.labels): one.value for one in found if one.name == name}


@asynccontextmanager
async def locked(world: World, *tables: str) -> AsyncIterator[None]:
    """Nobody else can read these tables meanwhile: for them, the database hangs."""
    assert world.settings.database_url is not None
    holder = await asyncpg.connect(world.settings.database_url.get_secret_value())
    try:
        async with holder.transaction():
            await holder.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await holder.close()


async def hanging_statements(world: World) -> int:
    assert world.settings.database_url is not None
    observer = await asyncpg.connect(world.settings.database_url.get_secret_value())
    try:
        waiting = """
            SELECT count(*) FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%min(outbox%'
        """
        async with asyncio.timeout(20):
            while True:
                if await observer.fetchval(waiting) > 0:
                    break
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)  # for others to come, if any do
        return await observer.fetchval(waiting)
    finally:
        await observer.close()
