"""Many at once over real HTTP: whoever wins, what they are told and what the database has are one story."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from countermand.demo.sample_catalogue import DAY_TICKET, IDEAL, LOCKER
from countermand.domain.orders.order import order_id_of
from support.connect_calls import SERVICE_ORDER
from support.processes import Demo, a_demo
from support.races import another_process_writes, column, look

Request = Coroutine[Any, Any, int]  # gives the answer's status
# Where one comes after the other there is one ending, and many orders would show the same.
TIMES = {"change first": 3, "cancel first": 3, "at once": 15, "at once, cancel sent first": 15}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all races: each takes orders of its own."""
    with a_demo(tmp_path_factory.mktemp("races") / "demo") as running:
        yield running


@pytest_asyncio.fixture
async def http(shop: Demo) -> AsyncIterator[httpx.AsyncClient]:
    async with a_client(shop) as client:
        yield client


@pytest.mark.parametrize("callers", [20, pytest.param(200, marks=pytest.mark.slow)])
async def test_of_many_cancels_of_a_telecom_order_at_once_one_wins_and_one_fact_leaves(
    shop: Demo, http: httpx.AsyncClient, callers: int
):
    order_id = await service_order(shop, http, visit_in_h=30)
    answers = await asyncio.gather(*(cancel(shop, http, order_id) for _ in range(callers)))
    assert Counter(answers) == {200: 1, 422: callers - 1}
    assert len(rows(shop, "cancellations", order_id)) == 1
    assert len(rows(shop, "refusals", order_id)) == callers - 1
    assert told(shop, order_id) == ["order.placed", "appointment.set", "appointment.cancelled", "order.cancelled"]
    assert [row["state"] for row in rows(shop, "appointments", order_id)] == ["cancelled"]


@pytest.mark.parametrize("callers", [20, pytest.param(200, marks=pytest.mark.slow)])
async def test_of_many_cancels_of_a_ticket_order_at_once_one_wins_and_its_places_go_back_once(
    shop: Demo, http: httpx.AsyncClient, callers: int
):
    uri = await ticket_order(shop, http)
    order_id = order_id_of(uri.rsplit("/", 1)[1])
    before = stock(shop)
    held = Counter(row["product_uid"] for row in rows(shop, "tickets", order_id))
    answers = await asyncio.gather(*(cancel_tickets(shop, http, uri) for _ in range(callers)))
    assert Counter(answers) == {200: 1, 409: callers - 1}
    assert len(rows(shop, "cancellations", order_id)) == 1
    assert stock(shop) == {uid: left + held[uid] for uid, left in before.items()}
    assert not any(row["valid"] for row in rows(shop, "tickets", order_id))
    assert told(shop, order_id) == ["order.placed", "order.cancelled"]


async def test_under_one_key_twenty_at_once_all_hear_yes_and_it_is_done_once(shop: Demo, http: httpx.AsyncClient):
    order_id = await service_order(shop, http)
    answers = await asyncio.gather(*(cancel(shop, http, order_id, key="the-same") for _ in range(20)))
    assert Counter(answers) == {200: 20}
    assert len(rows(shop, "cancellations", order_id)) == 1
    assert rows(shop, "refusals", order_id) == []


@pytest.mark.slow
async def test_five_hundred_attempts_of_a_stranger_do_not_keep_the_owner_from_cancelling(
    shop: Demo, http: httpx.AsyncClient
):
    order_id = await service_order(shop, http)
    stranger = shop.connect_headers("other_access_token")
    foreign = [cancel(shop, http, order_id, headers=stranger) for _ in range(500)]
    *refused, mine = await asyncio.gather(*foreign, cancel(shop, http, order_id))
    assert mine == 200
    assert Counter(refused) == {404: 500}
    assert len(rows(shop, "cancellations", order_id)) == 1
    assert rows(shop, "refusals", order_id) == []


@dataclass(frozen=True)
class Story:
    """How it ends: the answers to both, the order, and its visits (or its payments: whether they came late)."""

    cancelled: int
    changed: int
    state: str
    left: tuple[Any, ...]


@dataclass(frozen=True)
class Race:
    """A change that races a cancellation, and how it must end when the one or the other came first."""

    change: str
    visit_in_h: int | None
    to_h: int
    change_first: Story
    cancel_first: Story


RACES = {
    "a visit in 30 h is agreed": Race(
        change="set",
        visit_in_h=None,
        to_h=30,
        change_first=Story(200, 201, "cancelled", ("cancelled",)),
        cancel_first=Story(200, 409, "cancelled", ()),
    ),
    "a visit in 5 h is agreed": Race(
        change="set",
        visit_in_h=None,
        to_h=5,
        change_first=Story(422, 201, "submitted", ("booked",)),
        cancel_first=Story(200, 409, "cancelled", ()),
    ),
    "a visit is moved from 30 h to 5 h": Race(
        change="move",
        visit_in_h=30,
        to_h=5,
        change_first=Story(422, 200, "submitted", ("booked",)),
        cancel_first=Story(200, 409, "cancelled", ("cancelled",)),
    ),
    "a visit is moved from 5 h to 30 h": Race(
        change="move",
        visit_in_h=5,
        to_h=30,
        change_first=Story(200, 200, "cancelled", ("cancelled",)),
        cancel_first=Story(422, 200, "submitted", ("booked",)),
    ),
    "a visit in 5 h is called off": Race(
        change="call off",
        visit_in_h=5,
        to_h=0,
        change_first=Story(200, 200, "cancelled", ("cancelled",)),
        cancel_first=Story(422, 200, "submitted", ("cancelled",)),
    ),
}
PAYMENT = Race(
    change="pay",
    visit_in_h=None,
    to_h=0,
    change_first=Story(403, 201, "completed", ("in time",)),
    cancel_first=Story(200, 409, "cancelled", ("late",)),
)


@pytest.mark.parametrize("mode", TIMES)
@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
async def test_a_cancel_and_a_change_of_the_visit_come_one_after_the_other(
    shop: Demo, http: httpx.AsyncClient, race: Race, mode: str
):
    orders = await asyncio.gather(*(service_order(shop, http, visit_in_h=race.visit_in_h) for _ in range(TIMES[mode])))
    stories = await asyncio.gather(
        *(run(mode, lambda o=o: cancel(shop, http, o), lambda o=o: change(shop, http, race, o)) for o in orders)
    )
    for order_id, (cancelled, changed) in zip(orders, stories, strict=True):
        told_once(shop, order_id)
        assert story(shop, order_id, cancelled, changed) in possible(race, mode)


@pytest.mark.parametrize("mode", TIMES)
async def test_an_order_is_paid_in_time_or_cancelled_and_never_both(shop: Demo, http: httpx.AsyncClient, mode: str):
    uris = await asyncio.gather(*(ticket_order(shop, http) for _ in range(TIMES[mode])))
    stories = await asyncio.gather(
        *(
            run(mode, lambda uri=uri: cancel_tickets(shop, http, uri), lambda uri=uri: pay(shop, http, uri))
            for uri in uris
        )
    )
    for uri, (cancelled, changed) in zip(uris, stories, strict=True):
        order_id = order_id_of(uri.rsplit("/", 1)[1])
        told_once(shop, order_id)
        assert story(shop, order_id, cancelled, changed) in possible(PAYMENT, mode)


@pytest.mark.parametrize("first", ["change", "cancel"])
@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
async def test_while_both_wait_for_the_write_lock_who_came_first_goes_first(
    shop: Demo, http: httpx.AsyncClient, race: Race, first: str
):
    order_id = await service_order(shop, http, visit_in_h=race.visit_in_h)
    doing = {"cancel": lambda: cancel(shop, http, order_id), "change": lambda: change(shop, http, race, order_id)}
    waiting = {}
    with another_process_writes(shop.database):
        for name in sorted(doing, key=lambda name: name != first):
            waiting[name] = asyncio.create_task(doing[name]())
            await asyncio.sleep(0.2)  # it is there, and waits
        assert not any(one.done() for one in waiting.values())
    ended = story(shop, order_id, await waiting["cancel"], await waiting["change"])
    assert ended == (race.change_first if first == "change" else race.cancel_first)
    told_once(shop, order_id)


async def test_at_the_end_no_order_of_all_these_tells_two_stories(shop: Demo):
    cancelled = sorted(column(shop.database, "SELECT id FROM orders WHERE state = 'cancelled'"))
    assert sorted(column(shop.database, "SELECT order_id FROM cancellations")) == cancelled
    assert sorted(column(shop.database, "SELECT order_id FROM outbox WHERE kind = 'order.cancelled'")) == cancelled
    both = "SELECT id FROM orders WHERE state = 'cancelled' AND contract = 'shopping' AND first_payment_at IS NOT NULL"
    assert column(shop.database, both) == []
    active = """
        SELECT id FROM orders WHERE state = 'cancelled' AND (appointment_starts_at IS NOT NULL OR EXISTS
        (SELECT 1 FROM appointments WHERE order_id = orders.id AND state IN ('reserved', 'booked', 'in_progress')))
    """
    assert column(shop.database, active) == []
    valid = (
        "SELECT order_id FROM tickets JOIN orders ON orders.id = order_id WHERE valid AND orders.state = 'cancelled'"
    )
    assert column(shop.database, valid) == []
    unbalanced = """
        SELECT uid FROM products WHERE availability +
        (SELECT COUNT(*) FROM tickets WHERE product_uid = products.uid AND valid) <> total_availability
    """
    assert column(shop.database, unbalanced) == []
    assert column(shop.database, "PRAGMA integrity_check") == ["ok"]


def possible(race: Race, mode: str) -> list[Story]:
    """The endings a mode allows: who came first is known, or not."""
    return {"change first": [race.change_first], "cancel first": [race.cancel_first]}.get(
        mode, [race.change_first, race.cancel_first]
    )


async def run(mode: str, cancels: Callable[[], Request], changes: Callable[[], Request]) -> tuple[int, int]:
    """Both requests, as the mode has it; what they were answered."""
    if mode == "change first":
        changed = await changes()
        return await cancels(), changed
    if mode == "cancel first":
        return await cancels(), await changes()
    if mode == "at once":
        changed, cancelled = await asyncio.gather(changes(), cancels())
        return cancelled, changed
    cancelled, changed = await asyncio.gather(cancels(), changes())
    return cancelled, changed


def story(shop: Demo, order_id: int, cancelled: int, changed: int) -> Story:
    """How it ended, as the answers and the database tell."""
    (order,) = look(shop.database, "SELECT * FROM orders WHERE id = ?", order_id)
    visits = [row["state"] for row in rows(shop, "appointments", order_id)]
    money = ["late" if row["is_late"] else "in time" for row in rows(shop, "payments", order_id)]
    return Story(cancelled, changed, order["state"], (*visits, *money))


def told_once(shop: Demo, order_id: int) -> None:
    """The order's rows and what was told of it agree."""
    (order,) = look(shop.database, "SELECT * FROM orders WHERE id = ?", order_id)
    is_cancelled = order["state"] == "cancelled"
    assert len(rows(shop, "cancellations", order_id)) == is_cancelled
    assert told(shop, order_id).count("order.cancelled") == is_cancelled
    active = [row["starts_at"] for row in rows(shop, "appointments", order_id) if row["state"] == "booked"]
    assert [order["appointment_starts_at"]] == (active or [None])


async def cancel(
    shop: Demo, http: httpx.AsyncClient, order_id: int, *, headers: dict[str, str] | None = None, key: str | None = None
) -> int:
    under_key = {} if key is None else {"Idempotency-Key": key}
    given = {**(headers or shop.connect_headers()), **under_key}
    return (await http.post("/api/connect/orders/cancel", json={"orderId": order_id}, headers=given)).status_code


async def cancel_tickets(shop: Demo, http: httpx.AsyncClient, uri: str) -> int:
    given = {"order": uri, "reason": "The buyer asked"}
    return (await http.post("/ordercancellation/", json=given, auth=basic(shop))).status_code


async def change(shop: Demo, http: httpx.AsyncClient, race: Race, order_id: int) -> int:
    """What the race says happens to the order's visit, over the operator's API."""
    path, headers = f"/manage/v1/orders/connect-{order_id}/appointments", shop.manage_headers()
    if race.change == "set":
        return (await http.post(path, json=visit_in(race.to_h), headers=headers)).status_code
    (visit,) = column(shop.database, "SELECT id FROM appointments WHERE order_id = ?", order_id)
    if race.change == "move":
        return (await http.put(f"{path}/{visit}", json=visit_in(race.to_h), headers=headers)).status_code
    return (await http.delete(f"{path}/{visit}", headers=headers)).status_code


async def pay(shop: Demo, http: httpx.AsyncClient, uri: str) -> int:
    path = f"/manage/v1/orders/{uri.rsplit('/', 1)[1]}/payments"
    given = {"reference": secrets.token_hex(8), "amount": 100.0, "currency": "EUR"}
    return (await http.post(path, json=given, headers=shop.manage_headers())).status_code


async def service_order(shop: Demo, http: httpx.AsyncClient, *, visit_in_h: int | None = None) -> int:
    made = await http.post("/api/connect/orders/create", json=SERVICE_ORDER, headers=shop.connect_headers())
    order_id = made.raise_for_status().json()["id"]
    if visit_in_h is not None:
        path = f"/manage/v1/orders/connect-{order_id}/appointments"
        (await http.post(path, json=visit_in(visit_in_h), headers=shop.manage_headers())).raise_for_status()
    return order_id


async def ticket_order(shop: Demo, http: httpx.AsyncClient) -> str:
    """The uri of a new order for two tickets."""
    method = IDEAL
    wanted = {
        "products": [{"product": f"{shop.base_url}/products/{uid}", "quantity": 1} for uid in (DAY_TICKET, LOCKER)],
        "consumer": {"first_name": "Jo", "last_name": "Visitor"},
        "payment_method": method,
    }
    return (await http.post("/orders", json=wanted, auth=basic(shop))).raise_for_status().headers["Location"]


def visit_in(hours: int) -> dict[str, str]:
    starts_at = datetime.now(UTC) + timedelta(hours=hours)
    return {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=4)).isoformat()}


def basic(shop: Demo) -> tuple[str, str]:
    return shop.json["shopping"]["key"], shop.json["shopping"]["secret"]


def stock(shop: Demo) -> dict[str, int]:
    return {row["uid"]: row["availability"] for row in look(shop.database, "SELECT uid, availability FROM products")}


def rows(shop: Demo, table: str, order_id: int) -> list[dict[str, Any]]:
    return look(shop.database, f"SELECT * FROM {table} WHERE order_id = ?", order_id)


def told(shop: Demo, order_id: int) -> list[str]:
    facts = rows(shop, "outbox", order_id)
    return [fact["kind"] for fact in sorted(facts, key=lambda fact: (fact["order_version"], fact["kind"]))]


@asynccontextmanager
async def a_client(shop: Demo) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=shop.base_url, limits=limits, timeout=120, trust_env=False) as client:
        yield client
