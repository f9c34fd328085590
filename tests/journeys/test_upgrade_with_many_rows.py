"""A database with a hundred thousand orders and refusals of an old version is migrated while customers call.

Afterwards every old order is found and explained: the background tasks have given the orders their handles, and the
refusals their codes.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from own_postgres import OwnPostgres
from support.customers import Customers
from support.load import CONNECT, Ask, Reply, one
from support.nodes import Shop, a_node, a_shop
from support.old_versions import OLD_VERSIONS, an_old_node, migrated_by
from support.upgrades import PATIENT, migrate, stock, troubles

pytestmark = [pytest.mark.slow, pytest.mark.timeout(800)]

OLDEST = OLD_VERSIONS[0]
COPIES = 100_000
FIRST_COPY = 10_000_000  # the customers' own orders have smaller numbers
OFTEN = 3  # each story, before and after the migration
FILLED_WITHIN_S = 400


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A database as the oldest version made it."""
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with OwnPostgres(settings) as server, a_shop(server, tmp_path, lambda made: migrated_by(OLDEST, made)) as made:
        yield made


async def test_a_hundred_thousand_old_orders_and_refusals_are_found_and_explained_after_an_upgrade_under_load(
    shop: Shop,
):
    await stock(shop)
    with an_old_node(OLDEST, shop, **PATIENT) as old_node:
        customers = Customers(shop, [old_node.port, old_node.port], newer=1)
        original = await a_refused_order(customers)
        await copied(shop, original)
        async with customers.running():
            await customers.stories(OFTEN)
            await asyncio.to_thread(migrate, shop)
        with a_node(shop, **PATIENT) as new_node:
            later = Customers(shop, [old_node.port, new_node.port], newer=1)
            async with later.running():
                await later.stories(OFTEN)
            await filled(shop)
            for copy in random.sample(range(COPIES), 100):
                await check_found_and_explained(shop, new_node.port, copy)
            assert troubles(new_node) == []
        assert customers.wrong + later.wrong == []
        assert troubles(old_node) == []
    # The tasks changed no order and no decision.
    of_copies = f"SELECT count(*) FROM {{}} WHERE order_id >= {FIRST_COPY} AND order_id < {FIRST_COPY + COPIES}"
    assert await shop.column(of_copies.format("refusals")) == [COPIES]
    assert await shop.column(of_copies.format("cancellations")) == [0]
    assert set(
        await shop.column(f"SELECT version FROM orders WHERE id BETWEEN {FIRST_COPY} AND {FIRST_COPY + COPIES}")
    ) == {2}


async def a_refused_order(customers: Customers) -> int:
    """A telecom order whose visit is too soon, of which a cancellation was refused."""
    order = await customers.service_order()
    await customers.visit(order, in_h=5)
    await customers.ask(0, "POST", CONNECT, customers.shop.partner, {"orderId": order}, status=422)
    return order


async def copied(shop: Shop, original: int) -> None:
    """Many copies of an order's rows, as if the old version had written each; the copies have names of their own."""
    number = f"{FIRST_COPY} + n"
    # An hour earlier, because the tasks leave the newest rows alone for some minutes.
    earlier = {column: f"{column} - 3600000000 - n" for column in ("created_at", "recorded_at", "decided_at")}
    changed: Mapping[str, Mapping[str, str]] = {
        "orders": {"id": number},
        "order_details": {
            "order_id": number,
            "reference": f"({number})::text",
            "details": f"replace(details, 'Jo Citizen', {name_of('n')})",
        },
        "appointments": {"id": number, "order_id": number},
        "outbox": {"order_id": number},
        "refusals": {"order_id": number, "command_id": "md5(n::text)"},
    }
    for table, instead in changed.items():
        columns = await shop.column(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position", table
        )
        values = ", ".join((earlier | instead).get(column, column) for column in columns)
        of_original = f"{'id' if table == 'orders' else 'order_id'} = {original}"
        await shop.rows(
            f"INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT {values} FROM {table}, generate_series(0, {COPIES - 1}) AS n WHERE {of_original}"
        )


def name_of(copy: str) -> str:
    """SQL for the name in a copy: md5 makes the words differ from their beginnings on."""
    return f"'Kim ' || translate(substr(md5({copy}::text), 1, 12), '0123456789', 'ghijklmnop')"


async def filled(shop: Shop) -> None:
    """Return when each copy has its handles, and each refusal its codes."""
    unfilled = (
        "SELECT (SELECT count(*) FROM refusals WHERE codes IS NULL) +"
        f" (SELECT count(*) FROM orders WHERE id >= {FIRST_COPY} AND contract = 'connect'"
        " AND NOT EXISTS (SELECT FROM order_search WHERE order_search.order_id = orders.id))"
    )
    async with asyncio.timeout(FILLED_WITHIN_S):
        while await shop.column(unfilled) != [0]:  # noqa: ASYNC110 - another process fills them
            await asyncio.sleep(1)


async def check_found_and_explained(shop: Shop, port: int, copy: int) -> None:
    (name,) = await shop.column(f"SELECT {name_of(str(copy))}")
    order = f"connect-{FIRST_COPY + copy}"
    for question in (name, str(FIRST_COPY + copy)):
        found = await read(shop, port, f"/manage/v1/orders?q={question.replace(' ', '+')}")
        assert [one["id"] for one in found.json["orders"]] == [order], question
    shown = (await read(shop, port, f"/manage/v1/orders/{order}")).json
    (ask,) = [entry for entry in shown["timeline"] if entry["kind"] == "ask"]
    assert (ask["decision"], ask["codes"]) == ("refused", ["appointment_within_notice"])
    assert [entry["kind"] for entry in shown["timeline"]] == ["placed", "appointment", "ask"]
    assert "starts within 26 hours" in " ".join(finding["message"] for finding in ask["findings"])


async def read(shop: Shop, port: int, path: str) -> Reply:
    reply = await one(port, Ask(node=0, about=path, path=path, headers=shop.operator, body=None, method="GET"))
    assert reply.status == 200, reply.body
    return reply
