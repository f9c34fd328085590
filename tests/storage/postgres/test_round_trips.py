"""How many round trips to PostgreSQL the calls take that count, once their statements are prepared."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.domain.orders.order_details import ServiceOrderDetails
from support.connect_calls import SERVICE_ORDER
from support.contracts import CONNECT
from support.database_contents import changed, contents
from support.round_trips import round_trips
from support.ticket_shop import a_shop
from support.world import PUBLIC_URL, World, a_world

pytestmark = pytest.mark.postgres


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A service that remembers its clients, as every service does."""
    async with a_world(tmp_path, "postgres", client_refresh_s=60) as world:
        yield world


async def test_to_read_an_order_of_a_service_takes_one(world: World):
    me = await world.connect_client()
    order_id = await world.service_order(me)

    async def read() -> httpx.Response:
        return await world.http.get(f"/api/connect/orders/{order_id}", headers=world.connect_headers(me))

    assert (await read()).status_code == 200
    with round_trips(world) as sent:
        assert (await read()).json()["id"] == order_id
    assert len(sent) == 1, sent


@pytest.mark.parametrize("owned_by", ["client", "token"])
async def test_to_read_an_order_of_tickets_takes_one(world: World, owned_by: str):
    shop = await a_shop(world)
    order = (await shop.order({await shop.product(): 2})).json()
    path = f"/orders/{order['uid']}"
    (row,) = [row for row in await world.rows("order_details") if row["uid"] == order["uid"]]
    token = row["details"].partition('"order_token":"')[2].partition('"')[0]
    headers = {"Authorization": shop.caller.basic} if owned_by == "client" else {"Order-Token": token}
    assert (await world.http.get(path, headers=headers)).status_code == 200
    with round_trips(world) as sent:
        assert (await world.http.get(path, headers=headers)).json() == order
    assert len(sent) == 1, sent
    assert order["_links"]["self"]["href"] == PUBLIC_URL + path


@pytest.mark.parametrize(("key", "at_most"), [(False, 2), (True, 6)], ids=["without a key", "with a key"])
async def test_to_create_an_order_of_a_service_takes_two_and_six_with_a_key(
    world: World,
    key: bool,  # noqa: FBT001
    at_most: int,
):
    me = await world.connect_client()

    async def create(number: int) -> httpx.Response:
        more = {"Idempotency_Key": f"k{number}"} if key else {}
        headers = world.connect_headers(me, **more)
        return await world.http.post("/api/connect/orders/create", json=SERVICE_ORDER, headers=headers)

    assert [(await create(number)).status_code for number in (0, 1)] == [201, 201]
    with round_trips(world) as sent:
        assert (await create(2)).status_code == 201
    assert len(sent) == at_most, sent
    assert len(await world.rows("orders")) == len(await world.rows("outbox")) == 3


@pytest.mark.parametrize("products", [1, 50])
@pytest.mark.parametrize(("key", "at_most"), [(False, 5), (True, 6)], ids=["without a key", "with a key"])
async def test_to_order_tickets_takes_six_at_most_however_many_products(
    world: World,
    products: int,
    key: bool,  # noqa: FBT001
    at_most: int,
):
    shop = await a_shop(world)
    wanted = dict.fromkeys([await shop.product() for _ in range(products)], 2)

    async def order(number: int) -> httpx.Response:
        more = {"Idempotency_Key": f"k{number}"} if key else {}
        return await shop.post("/orders", shop.body(wanted), **more)

    assert (await order(1)).status_code == 201
    with round_trips(world) as sent:
        assert (await order(2)).status_code == 201
    assert len(sent) <= at_most, sent
    assert set((await shop.left()).values()) == {96}


async def test_a_refused_order_of_tickets_takes_four_and_leaves_nothing(world: World):
    shop = await a_shop(world)
    uid = await shop.product(stock=2)
    assert (await shop.order({uid: 2})).status_code == 201
    assert (await shop.order({uid: 1})).status_code == 409
    with round_trips(world) as sent:
        assert (await shop.order({uid: 1})).status_code == 409
    assert len(sent) <= 5, sent
    assert len(await world.rows("orders")) == 1


async def test_an_order_whose_number_is_taken_is_no_error_of_the_service(world: World):
    """Also where the order is a transaction by itself, so that the commit finds it out."""
    me = await world.connect_client()
    order_id = await world.service_order(me)
    async with world.database.store.transaction() as tx:
        await tx.run(text(f"SELECT setval('order_number', {order_id}, false)"))
    before = await contents(world)
    answer = await world.http.post("/api/connect/orders/create", json=SERVICE_ORDER, headers=world.connect_headers(me))
    assert answer.status_code == 503
    assert not changed(before, await contents(world))
    again = await world.http.post("/api/connect/orders/create", json=SERVICE_ORDER, headers=world.connect_headers(me))
    assert again.status_code == 201


async def test_what_follows_a_new_order_in_its_transaction_sees_it(world: World):
    me = await world.connect_client()
    details = ServiceOrderDetails(source_type="nbn")
    async with world.database.store.transaction() as tx:
        views = [
            await place_service_order(tx, me.client.id, details, world.clock(), contract=CONNECT.name) for _ in range(2)
        ]
        found = await tx.views([view.order.id for view in views])
    assert found == {view.order.id: view for view in views}
    assert len(await world.rows("orders")) == 2


async def test_a_new_order_that_was_waiting_goes_with_its_transaction(world: World):
    me = await world.connect_client()
    details = ServiceOrderDetails(source_type="nbn")

    async def places_and_fails() -> None:
        async with world.database.store.transaction() as tx:
            await place_service_order(tx, me.client.id, details, world.clock(), contract=CONNECT.name)
            raise ValueError("no")

    with round_trips(world) as sent, pytest.raises(ValueError, match="no"):
        await places_and_fails()
    assert len([one for one in sent if one.startswith("bind_execute")]) == 1, sent  # the numbers alone
    assert await world.rows("orders") == []
