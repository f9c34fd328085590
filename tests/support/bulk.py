"""Writes many orders of one shop at once, without the actions, for tests that need thousands of orders."""

import itertools
from collections.abc import Sequence

import asyncpg

from countermand.domain.orders.order import OrderId
from countermand.storage.tables.columns import micros
from support.world import Caller, World

_PRICED = '{"currency": "EUR", "product_total_minor": 2500, "service_costs_minor": 0, "grand_total_minor": 2500}'
_numbers = itertools.count((1 << 62) + 1_000_000)  # a number that only a ticket order has


async def many_ticket_orders(
    connection: "asyncpg.Connection[asyncpg.Record]",
    world: World,
    shop: Caller,
    orders: Sequence[Sequence[str]],
) -> list[OrderId]:
    """An order for each list of products, with one ticket of each; the places are taken off the stock."""
    now = micros(world.clock())
    ids = [OrderId(next(_numbers)) for _ in orders]
    sold = [
        (order_id, number, uid) for order_id, uids in zip(ids, orders, strict=True) for number, uid in enumerate(uids)
    ]
    async with connection.transaction():
        await connection.executemany(
            "INSERT INTO orders (id, contract, client_id, version, state, created_at)"
            " VALUES ($1, 'shopping', $2, 1, 'pending', $3)",
            [(order_id, shop.client.id, now) for order_id in ids],
        )
        await connection.executemany(
            "INSERT INTO order_details (order_id, uid, reference, details) VALUES ($1, $2, $3, $4)",
            [(order_id, f"{order_id:032x}", f"T-{order_id}", _PRICED) for order_id in ids],
        )
        await connection.executemany(
            "INSERT INTO tickets (order_id, number, uid, product_uid, code, valid) VALUES ($1, $2, $3, $4, $5, true)",
            [
                (order_id, number, f"{order_id:016x}{number:016x}", uid, f"{order_id}-{number}")
                for order_id, number, uid in sold
            ],
        )
        await connection.execute(
            "UPDATE products AS p SET availability = availability - s.places"
            " FROM (SELECT uid, count(*) AS places FROM unnest($1::text[]) AS u (uid) GROUP BY uid) AS s"
            " WHERE p.uid = s.uid",
            [uid for _, _, uid in sold],
        )
    return ids


async def stock_is_whole(world: World) -> None:
    """What is left and what is validly sold make up what there was, for every product."""
    sold: dict[str, int] = {}
    for ticket in await world.rows("tickets"):
        sold[ticket["product_uid"]] = sold.get(ticket["product_uid"], 0) + ticket["valid"]
    for product in await world.rows("products"):
        assert product["availability"] >= 0
        assert product["availability"] + sold.get(product["uid"], 0) == product["total_availability"]
