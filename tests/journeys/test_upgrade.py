"""An upgrade takes no node down: a node of an old version and one of this, on one database that is migrated meanwhile.

A new node that cannot work with the old schema is started once the database is migrated, as an operator does it.

Which old versions there are is said in `support/old_versions.py`. One that works with the newest schema goes on serving
while the database is migrated and afterwards; one that would decide wrongly with it serves until then, and becomes
unready.
"""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from countermand.storage.schema import NEWEST_SCHEMA, OLDEST_SCHEMA
from own_postgres import OwnPostgres
from support.conservation import check_conservation
from support.customers import STORIES, Customers
from support.load import Ask, one
from support.nodes import OPERATOR, Shop, a_node, a_shop
from support.old_versions import OLD_VERSIONS, OldVersion, an_old_node, migrated_by
from support.orders import cancel, number, page, under_key
from support.schemas import newer_code
from support.serving import Served
from support.upgrades import PATIENT, migrate, stock, troubles
from support.world import a_world

pytestmark = pytest.mark.slow

OFTEN = 15  # each story, before the migration and after it
NOTES = "SELECT number, oldest_code FROM schema_notes ORDER BY number"


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with OwnPostgres({"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}) as running:
        yield running


@pytest.fixture
async def notes(server: OwnPostgres, tmp_path: Path) -> list[tuple[int, int]]:
    """The newest schema's: the number of each schema, and the oldest code that works with it."""
    with a_shop(server, tmp_path) as newest:
        return [(note["number"], note["oldest_code"]) for note in await newest.rows(NOTES)]


@pytest.fixture(params=OLD_VERSIONS, ids=lambda version: version.commit)
def old(request: pytest.FixtureRequest) -> OldVersion:
    return request.param


@pytest.fixture
def shop(server: OwnPostgres, old: OldVersion, tmp_path: Path) -> Iterator[Shop]:
    """A database as the old version made it."""
    with a_shop(server, tmp_path, partial(migrated_by, old)) as made:
        yield made


async def test_while_old_and_new_nodes_serve_and_the_database_is_migrated_nothing_is_lost_doubled_or_refused(
    shop: Shop, old: OldVersion, notes: list[tuple[int, int]]
):
    await stock(shop)
    goes_on = old.works_with(notes[-1][1])
    with ExitStack() as nodes:
        old_node = nodes.enter_context(an_old_node(old, shop, **PATIENT))
        new_node = nodes.enter_context(a_node(shop, **PATIENT)) if old.schema >= OLDEST_SCHEMA else None
        customers = Customers(shop, [old_node.port, (new_node or old_node).port], newer=1)
        async with customers.running():
            await customers.stories(OFTEN)
            if not goes_on:  # nobody is sent any more to a node that is about to become unready
                customers.nodes = (1, 1)
            await asyncio.to_thread(migrate, shop)
            if new_node is None:
                new_node = await asyncio.to_thread(nodes.enter_context, a_node(shop, **PATIENT))
                customers.ports[1] = new_node.port
            await customers.stories(OFTEN)
        ready = [(await one(node.port, page("/readyz"))).status for node in (old_node, new_node)]
        assert customers.wrong == []
        assert ready == [200 if goes_on else 503, 200]
        assert {status for status in customers.statuses if not 200 <= status < 500} == set()
        assert all(customers.told[story] >= 2 * OFTEN for story in STORIES)
        assert [(note["number"], note["oldest_code"]) for note in await shop.rows(NOTES)] == notes
        await check_all_is_there_once(shop, customers)
        for node in (old_node, new_node):
            assert node.process.poll() is None
            assert troubles(node) == []
        totals = await shop.rows("SELECT total_minor FROM order_details WHERE uid IS NOT NULL")
        writes_totals = old.schema >= 5
        assert None in {row["total_minor"] for row in totals} or writes_totals or not goes_on
        assert {row["total_minor"] for row in totals} - {None} != set()


async def test_a_key_that_an_old_or_a_new_node_stored_is_known_to_the_other(shop: Shop, old: OldVersion):
    await stock(shop)
    migrate(shop)
    orders = await shop.orders(plain=2, tickets=2)
    asked = [*orders.plain, *orders.tickets]
    with an_old_node(old, shop, **PATIENT) as old_node, a_node(shop, **PATIENT) as new_node:
        nodes = {"old": old_node.port, "new": new_node.port}
        for (first, second), order in zip([("old", "new"), ("new", "old")] * 2, asked, strict=True):
            ask = under_key(cancel(shop, order), f"key-{order}")
            here, there = (partial(sent, nodes[node], ask) for node in (first, second))
            answer = await here()
            assert answer.status_code == 200
            again = await there()
            assert (again.status_code, shown(again)) == (200, shown(answer))
            written_otherwise = json.dumps(ask.body, indent=1)
            # Only where both the node and the key know the message, other bytes are the same request.
            assert (await there(written_otherwise)).status_code == 422
            assert (await here(written_otherwise)).status_code == (200 if first == "new" else 422)
            assert (await there(json.dumps({**ask.body, "more": 1}))).status_code == 422
    kept = await shop.rows("SELECT message_fingerprint FROM idempotency_keys")
    assert [row["message_fingerprint"] is None for row in kept].count(True) == 2
    assert len(kept) == 4
    assert sorted(await shop.column("SELECT order_id FROM cancellations")) == sorted(
        [*orders.plain, *map(number, orders.tickets)]
    )


def shown(answer: httpx.Response) -> Any:
    """What an answer says, but for the link that the older versions lack."""
    said = answer.json() if answer.content else {}
    said.get("_links", {}).pop("payment_url", None)
    return said


async def sent(port: int, ask: Ask, body: str | None = None) -> httpx.Response:
    """The answer to a request with the body that it has, or with the same message in other bytes."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        headers = {**ask.headers, "Content-Type": "application/json"}
        return await http.post(ask.path, content=json.dumps(ask.body) if body is None else body, headers=headers)


async def test_an_old_node_never_counts_a_payment_that_a_new_node_voided(shop: Shop, old: OldVersion):
    await stock(shop)
    migrate(shop)
    first, second = (await shop.orders(plain=0, tickets=2)).tickets
    may = json.dumps(["cancel", "read", "record"])
    await shop.rows(
        "UPDATE clients SET permissions = $1, more_permissions = $2 WHERE id = $3", may, '["money"]', OPERATOR
    )
    with an_old_node(old, shop, **PATIENT) as old_node, a_node(shop, **PATIENT) as new_node:

        async def told(node: Served, uri: str, path: str, body: dict[str, Any]) -> tuple[int, str]:
            at = f"/manage/v1/orders/{uri.rpartition('/')[2]}/{path}"
            ask = Ask(node=0, about=None, path=at, headers=shop.operator, body=body)
            await sent(node.port, ask)
            answer = await sent(node.port, ask)
            return answer.status_code, answer.json().get("code", "")

        # The column of the total may be empty yet: the order was made as an old node makes it.
        (document,) = await shop.column(f"SELECT details FROM order_details WHERE order_id = {number(first)}")
        whole = {"reference": "psp-1", "amount": json.loads(document)["grand_total_minor"] / 100, "currency": "EUR"}
        assert await told(old_node, first, "payments", whole) == (200, "")
        assert await told(new_node, first, "payments/psp-1/void", {"reason": "mistyped"}) == (200, "")
        assert await told(old_node, first, "payments", whole) == (409, "payment_reference_used")
        assert await told(new_node, first, "payments", whole) == (409, "payment_voided")
        assert await told(old_node, second, "payments", whole) == (409, "payment_reference_used")
        cent = {"reference": "psp-2", "amount": 0.01, "currency": "EUR"}
        assert await told(old_node, first, "payments", cent) == (200, "")
        states = await shop.rows(f"SELECT state FROM orders WHERE id = {number(first)}")
        assert [row["state"] for row in states] == ["pending"], "the voided payment does not count"


async def test_an_old_node_that_would_decide_wrongly_becomes_unready_and_a_new_one_stays_ready(
    shop: Shop, old: OldVersion, tmp_path: Path
):
    newer = max(NEWEST_SCHEMA, old.schema + 1)
    with an_old_node(old, shop) as old_node, newer_code(newest=newer):
        await asyncio.to_thread(migrate, shop)
        async with a_world(tmp_path, database_url=shop.url) as new_node:

            async def ready_with(oldest_code: int) -> tuple[int, int]:
                await shop.rows(f"UPDATE schema_notes SET oldest_code = {oldest_code} WHERE number = 10000")
                old_says = await one(old_node.port, page("/readyz"))
                if old_says.status == 503:
                    reason = "the database has another schema than this version works with"
                    assert old_says.json["reason"] == reason
                return old_says.status, (await new_node.http.get("/readyz")).status_code

            await shop.rows(f"INSERT INTO schema_notes (number, oldest_code) VALUES (10000, {old.schema})")
            assert await ready_with(old.schema) == (200, 200)
            assert await ready_with(old.schema + 1) == (503, 200)
            assert await ready_with(newer + 1) == (503, 503)
            assert await ready_with(old.schema) == (200, 200)


async def test_the_commit_before_the_last_schema_that_raised_oldest_code_is_an_old_version(
    notes: list[tuple[int, int]],
):
    raised = [number for (_, before), (number, after) in itertools.pairwise(notes) if after > before]
    schemas = [version.schema for version in OLD_VERSIONS]
    assert schemas == sorted(schemas)
    assert not raised or schemas[-1] >= raised[-1] - 1, (
        f"schema {raised[-1]} raised oldest_code: add the commit before that change to OLD_VERSIONS, with its schema"
    )


async def check_all_is_there_once(shop: Shop, customers: Customers) -> None:
    states = {row["id"]: row["state"] for row in await shop.rows("SELECT id, state FROM orders")}
    assert states == customers.states
    assert await check_conservation(shop) == {order for order, state in states.items() if state == "cancelled"}
    facts = Counter(await shop.column("SELECT kind FROM outbox"))
    assert facts["order.placed"] == len(states)
    assert len(await shop.column("SELECT order_id FROM refusals")) == customers.refusals
    revoked = await shop.column("SELECT revoked_at IS NOT NULL FROM clients WHERE name = 'Another shop'")
    assert revoked == [True] * customers.added
