"""An import holds no product that is on sale while it writes the seats of new ones."""

from dataclasses import replace
from typing import Any

import pytest

from countermand.actions.catalogue.load import Catalogue, load_catalogue
from countermand.domain.money import Money
from countermand.domain.ticketing.seating import SeatBlock
from countermand.storage.repositories.transaction import SqlTransaction
from support.catalogue import a_product, an_event, put
from support.postgres import a_connection
from support.world import World

SEATS = [SeatBlock(section="S", row="R", first=1, last=2000)]


async def test_a_product_on_sale_is_free_while_the_seats_of_new_products_are_written(
    postgres_world: World, monkeypatch: pytest.MonkeyPatch
):
    event = an_event()
    on_sale = a_product(event, uid="a" * 32)
    await put(postgres_world, event, on_sale)
    new = [a_product(event, uid=letter * 32, stock=2000) for letter in ("b", "z")]
    dearer = replace(on_sale, price=Money(minor=9900, currency="EUR"))
    seen: list[Any] = []
    async with a_connection(postgres_world) as other:
        put_seats = SqlTransaction.put_seats

        async def watched(self: SqlTransaction, product_uid: str, plan: Any) -> None:
            await put_seats(self, product_uid, plan)
            seen.append((product_uid, await other.fetchval("SELECT uid FROM products FOR UPDATE SKIP LOCKED")))

        monkeypatch.setattr(SqlTransaction, "put_seats", watched)
        whole = Catalogue(products=[dearer, *new], seats={one.uid: SEATS for one in new})
        async with postgres_world.database.store.transaction() as tx:
            done = await load_catalogue(tx, whole)
    assert seen == [(one.uid, on_sale.uid) for one in new]
    assert done == {"added": 2, "changed": 1}
    assert len(await postgres_world.rows("seats")) == 4000
    (row,) = [row for row in await postgres_world.rows("products") if row["uid"] == on_sale.uid]
    assert row["price_minor"] == 9900
