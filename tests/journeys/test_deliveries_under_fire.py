"""Nodes, databases and receivers are killed while events are delivered: nothing is lost, and first arrivals in order.

`bench/deliveries_under_fire.py` does the same with many more events.
"""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from countermand.actions.delivering.attempts import CLAIM_HOLDS, LEASE
from countermand.bootstrap.database import open_database
from countermand.bootstrap.endpoints import endpoints_of
from countermand.delivery.relay import POLL_S
from countermand.delivery.secret_box import new_key
from countermand.delivery.webhook import ATTEMPT_LIMIT_S
from countermand.domain.delivering.endpoint import Subscription
from countermand.settings import read_settings
from deliveries_under_fire import ENDPOINTS, Plan, under_fire
from fire_checks import FedEvent, Tried, checked
from fire_receiver import Arrival
from own_postgres import OwnPostgres
from support.load import one
from support.nodes import PUBLIC_URL, Shop, a_node, a_shop
from support.orders import cancel
from support.receivers import Received, a_receiver

log = logging.getLogger(__name__)

HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
DEAD_NODE_S = 30  # its work goes on by then
NEVER_S = 3600


@pytest.mark.slow
@pytest.mark.parametrize(("database", "kills"), [("sqlite", 4), ("postgres", 3)])
async def test_under_kill_9_every_event_reaches_every_endpoint_in_order_and_no_repeat_is_unexplained(
    tmp_path: Path, database: str, kills: int
):
    found = await under_fire(Plan(database=database, events=2_000, kills=kills, slow_ms=20), tmp_path, log.info)

    assert {name: one.faults() for name, one in found.items()} == {name: {} for name in ENDPOINTS}
    assert all(one.events >= 2_000 for one in found.values())
    assert found["failing"].refused > 0
    assert found["dead"].without_answer > 0


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with OwnPostgres(HASTY) as running:
        yield running


@pytest.fixture
def shop(server: OwnPostgres, tmp_path: Path) -> Iterator[Shop]:
    with a_shop(server, tmp_path) as made:
        yield made


def test_a_lease_ends_in_time_for_the_work_of_a_dead_node_to_go_on():
    assert ATTEMPT_LIMIT_S + CLAIM_HOLDS.total_seconds() < LEASE.total_seconds()
    assert LEASE.total_seconds() + POLL_S < DEAD_NODE_S


@pytest.mark.slow
async def test_what_a_node_was_sending_when_it_was_killed_is_sent_by_another_node(shop: Shop):
    """The receiver hangs, so that the node is killed while it holds claims."""
    settings = {"webhook_secret_key": new_key(), "webhook_allow_loopback": True}
    orders = (await shop.orders(plain=6)).plain
    hangs = asyncio.Event()
    hangs.set()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if hangs.is_set():
            await asyncio.sleep(NEVER_S)
        writer.write(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with a_receiver(answer) as receiver:
        with a_node(shop, **settings) as dies:
            await _add_endpoint(shop, receiver.url(), settings)
            for order in orders:
                assert (await one(dies.port, cancel(shop, order))).status == 200
            await _until(receiver.requests, len(orders))
            with a_node(shop, **settings) as lives:
                dies.kill()
                hangs.clear()
                await _until(receiver.requests, 2 * len(orders))
                await _until_delivered(shop)
                assert "Traceback" not in lives.log

    first, again = receiver.requests[: len(orders)], receiver.requests[len(orders) :]
    assert {it.headers["webhook-id"]: it.body for it in first} == {it.headers["webhook-id"]: it.body for it in again}
    assert {it.headers["countermand-attempt"] for it in first} == {"1"}
    assert {it.headers["countermand-attempt"] for it in again} == {"2"}
    rows = await shop.rows("SELECT attempt, error, outcome, count(*) AS n FROM delivery_attempts GROUP BY 1, 2, 3")
    assert {tuple(row) for row in rows} == {(1, "cut_off", "failed", 6), (2, None, "delivered", 6)}
    (took,) = await shop.column("SELECT (max(at) - min(first_attempt_at)) / 1000000 FROM deliveries, delivery_attempts")
    log.info("the other node sent what the dead one was sending %s s after the first attempt", took)


async def _add_endpoint(shop: Shop, url: str, settings: dict[str, object]) -> None:
    read = read_settings(None, database_url=shop.url, **settings)
    database = await open_database(read)
    async with endpoints_of(read, database, PUBLIC_URL) as endpoints:
        await endpoints.add(url, Subscription(), None)
    await database.close()


async def _until(requests: list[Received], number: int) -> None:
    async with asyncio.timeout(120):
        while len(requests) < number:  # noqa: ASYNC110 - other processes send
            await asyncio.sleep(0.05)


async def _until_delivered(shop: Shop) -> None:
    async with asyncio.timeout(120):
        while await shop.column("SELECT order_id FROM delivery_lanes"):  # noqa: ASYNC110 - other processes write
            await asyncio.sleep(0.1)


# What the comparison notices: every kind of fault is made once.

FED = [FedEvent(id=f"evt_{order}_{version}", subject=order, version=version) for order in "ab" for version in (1, 2)]
OWN = "ep_1"


def arrivals() -> list[Arrival]:
    """The right ones: each event once, in order."""
    return [
        Arrival(
            path="good",
            event_id=fed.id,
            version=fed.version,
            attempt=1,
            previous=None if fed.version == 1 else f"evt_{fed.subject}_1",
            accepted=True,
            is_right=True,
        )
        for fed in FED
    ]


def tried(**more: Tried) -> dict[str, Tried]:
    return {fed.id: Tried(all=1, without_answer=0) for fed in FED} | more


def faults(came: list[Arrival], log_: dict[str, Tried] | None = None) -> dict[str, int]:
    return checked(came, FED, log_ or tried(), 0, OWN).faults()


def test_the_comparison_finds_nothing_wrong_with_what_is_right():
    about_itself = FedEvent(id="evt_ep_1_1", subject=OWN, version=1)
    assert checked(arrivals(), [*FED, about_itself], tried(), 0, OWN).faults() == {}


def test_the_comparison_notices_each_kind_of_fault():
    right = arrivals()
    first, second, *others = right
    assert faults(right[:-1]) == {"lost": 1}
    assert faults([replace(first, accepted=False), *right[1:]]) == {"lost": 1}
    assert faults([second, first, *others]) == {"out_of_order": 1, "holes": 2}
    assert faults([first, replace(second, previous=None), *others]) == {"holes": 1}
    assert faults([first, replace(second, is_right=False), *others]) == {"wrong": 1}
    assert faults([first, replace(second, version=3), *others]) == {"wrong": 1}
    assert faults([*right, replace(first, event_id="evt_c_1")]) == {"unknown": 1}
    assert faults([*right, first]) == {"too_often": 1}


def test_the_comparison_takes_a_repeat_that_an_attempt_without_an_answer_explains_and_none_beside_it():
    first, *others = arrivals()
    once_cut = tried(evt_a_1=Tried(all=2, without_answer=1))
    assert faults([first, first, *others], once_cut) == {}
    assert faults([first, first, first, *others], once_cut) == {"too_often": 1}
    refused = tried(evt_a_1=Tried(all=2, without_answer=0))
    assert faults([replace(first, accepted=False), first, *others], refused) == {}
    assert faults([first, first, *others], refused) == {"too_often": 1}
