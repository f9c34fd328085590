"""The cancellation of a paid order makes the same money due in the statements of each database and in an override."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import structs

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.contracts.registry import CONTRACTS, kinds_of
from countermand.domain.cancelling.policy import Policy, policy_of
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.storage.postgres.statements import BATCH_FORMS, BatchForm, cancel_batch, policy_predicate
from countermand.storage.sqlite.cancellations import SqliteCancellations
from countermand.storage.tables.columns import metadata
from support.contracts import SHOPPING
from support.money import balance, bounce, euros, pay, pay_back, take_back, void
from support.overrides import AUTHOR, override
from support.world import Caller, World, a_world

LETS_PAID_THROUGH: Final = [{"name": "not_already_cancelled"}, {"name": "state_allows"}]
POLICIES: Final = {"policies": {"shopping": LETS_PAID_THROUGH}}
WAYS: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {"on": "sqlite", **POLICIES},
    "at once": {"on": "postgres", **POLICIES},
    "in parts": {"on": "postgres", "database_distributed": True, **POLICIES},
    "override on sqlite": {"on": "sqlite"},
    "override on postgres": {"on": "postgres"},
}
DUE: Final[dict[str, dict[str, int]]] = {
    "paid": {"EUR": 2500},
    "in two currencies": {"CHF": 1, "EUR": 1500, "USD": 700},
    "refunded": {},
    "charged back": {"EUR": 500},
    "came back": {"EUR": 2500},
}
REASONS: Final = {
    "paid": None,
    "in two currencies": 'it\'s "off" → ✓',
    "refunded": "",
    "charged back": "called off",
    "came back": "called off",
}


async def prepared(world: World, shop: Caller) -> dict[str, OrderId]:
    product = await world.product(stock=50)
    orders: dict[str, OrderId] = {}
    for number, name in enumerate(DUE, start=1):
        placed = await world.ticket_order(shop, product=product, uid=f"{number:032x}")
        orders[name] = placed.order.id
        await pay(world, placed.order.id, f"tx {number}", euros(2500))
    two = orders["in two currencies"]
    for currency, minor in (("USD", 700), ("CHF", 1), ("GBP", 300)):
        await pay(world, two, currency, Money(minor=minor, currency=currency))
    await pay_back(world, two, "re 1", euros(1000))
    await pay_back(world, two, "re 2", Money(minor=300, currency="GBP"))
    await pay(world, two, "mistyped", euros(99))
    await void(world, two, "mistyped")
    await pay_back(world, orders["refunded"], "re 3", euros(2500))
    await take_back(world, orders["charged back"], "cb 1", euros(2000))
    await pay_back(world, orders["came back"], "re 4", euros(1000))
    await bounce(world, orders["came back"], "re 4")
    await pay_back(world, orders["came back"], "re 5", euros(1000))
    await bounce(world, orders["came back"], "re 5")
    return orders


async def cancelled_rows(world: World, *, by_override: bool) -> dict[str, list[dict[str, Any]]]:
    """Cancel the orders; gives every row without the ids that are made up."""
    shop = await world.shopping_client()
    orders = await prepared(world, shop)
    world.clock.forward(minutes=1)
    if by_override:
        for name, order_id in orders.items():
            outcome = await override(world, order_id, "payment_recorded", reason=REASONS[name])
            assert isinstance(outcome, Cancelled)
    else:
        batch = [
            structs.replace(world.command(shop, order_id, reason=REASONS[name], on_behalf=True), actor=AUTHOR)
            for name, order_id in orders.items()
        ]
        assert [type(one) for one in await world.service.commit.run(batch)] == [Cancelled] * len(batch)
    for name, order_id in orders.items():
        for currency in ("EUR", "USD", "CHF", "GBP"):
            found = await balance(world, order_id, currency)
            assert (found.due, found.kept) == (DUE[name].get(currency, 0), 0), (name, currency)
    rows = {table: await world.rows(table) for table in metadata.tables}
    for row in rows["outbox"]:
        row["details"] = json.loads(row["details"])
    by_row = {"outbox", "orders", "tickets", "products", "payments", "payment_corrections", "cancellations"}
    made_up = {"command_id", "policy_version", "overridden", "uid", "product_uid", "code", "client_id"}
    return {
        table: [{name: value for name, value in row.items() if name not in made_up} for row in rows[table]]
        for table in by_row
    }


async def test_each_way_leaves_the_same_rows(tmp_path: Path):
    lived = {}
    for number, (way, how) in enumerate(WAYS.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with a_world(folder, **how) as world:
            lived[way] = await cancelled_rows(world, by_override="override" in way)
    expected = lived["sqlite"]
    told = [row for row in expected["outbox"] if row["kind"] == "refund.due"]
    assert len(told) == 4, "nothing is told where nothing is due"
    assert {row["reason"] for row in expected["payment_corrections"] if row["state"] == "due"} == {
        "the order was cancelled",
        REASONS["in two currencies"],
        "called off",
    }
    for way, rows in lived.items():
        for table, of_table in expected.items():
            assert rows[table] == of_table, (way, table)


def policies(**rules: list[dict[str, object]]) -> list[Policy]:
    return [policy_of(one.name, rules.get(one.name, list(one.default_rules))) for one in CONTRACTS]


@pytest.mark.parametrize("form", BATCH_FORMS, ids=str)
def test_the_statement_of_the_default_policies_has_no_part_about_money(form: BatchForm):
    default, lax = policies(), policies(**{SHOPPING.name: LETS_PAID_THROUGH})
    kinds = kinds_of(CONTRACTS)
    usual, with_due = cancel_batch(default, kinds, form), cancel_batch(lax, kinds, form)
    assert "payment_corrections" not in usual
    part = re.search(r", \ndue AS \(.*?AS c ON c\.order_id = a\.order_id\n\)", with_due, re.DOTALL)
    assert part is not None
    same = with_due.replace(part[0], "").replace(policy_predicate(lax), policy_predicate(default))
    for before, after in zip(lax, default, strict=True):
        same = same.replace(before.version, after.version)
    assert same == usual


async def test_kept_money_is_looked_for_only_where_a_payment_is_recorded(tmp_path: Path):
    async with a_world(tmp_path, **WAYS["sqlite"]) as world:
        shop = await world.shopping_client()
        store, statements = world.database.cancellations, list[str]()
        assert isinstance(store, SqliteCancellations)
        store._connection.set_trace_callback(statements.append)  # the one place that sees each statement
        for paid in (False, True):
            order_id = (await world.ticket_order(shop, paid=paid)).order.id
            statements.clear()
            assert isinstance(await world.cancel(shop, order_id), Cancelled)
            assert any("INSERT INTO cancellations" in one for one in statements)
            assert any("payment_corrections" in one for one in statements) is paid


@pytest.mark.parametrize("way", ["sqlite", "at once", "in parts"])
async def test_a_payment_and_a_cancellation_of_a_paid_order_at_once_keep_every_cent(tmp_path: Path, way: str):
    async with a_world(tmp_path, **WAYS[way]) as world:
        shop = await world.shopping_client()
        for number in range(8):
            order_id = (await world.ticket_order(shop)).order.id
            await pay(world, order_id, f"tx {number}", euros(2500))
            paid, outcome = await asyncio.gather(
                pay(world, order_id, f"more {number}", euros(100)), world.cancel(shop, order_id)
            )
            assert isinstance(outcome, Cancelled)
            late = 100 if paid.payment.is_late else 0
            found = await balance(world, order_id)
            assert (found.due, found.late, found.kept) == (2600 - late, late, 0)
