"""A list lets the event loop go on after each of its items, however large they are."""

from collections.abc import Awaitable, Callable

import pytest

from countermand.actions import slices
from countermand.actions.slices import Slices
from support.shared_world import shared_world
from support.ticket_shop import a_shop
from support.world import World

world = shared_world
MORE = 12
Asked = tuple[str, dict[str, str]]  # a path and the headers of its reader


async def _orders(world: World, number: int) -> Asked:
    shop = await world.shopping_client()
    product = await world.product()
    for _ in range(number):
        await world.ticket_order(shop, product=product)
    return "/orders", world.shopping_headers(shop)


async def _service_orders(world: World, number: int) -> Asked:
    partner = await world.connect_client(f"partner {number}")
    for _ in range(number):
        await world.service_order(partner)
    return "/api/connect/orders", world.connect_headers(partner)


async def _consumers(world: World, number: int) -> Asked:
    shop = await world.shopping_client()
    headers = world.shopping_headers(shop)
    for n in range(number):
        await world.http.post("/consumers", json={"first_name": f"Jo {n}"}, headers=headers)
    return "/consumers", headers


async def _products(world: World, number: int) -> Asked:
    shop = await a_shop(world)
    for _ in range(number):
        await shop.product()
    return "/products", world.shopping_headers(shop.caller)


async def _an_event(world: World, number: int) -> Asked:
    shop = await a_shop(world)
    for _ in range(number):
        await shop.product()
    return f"/events/{shop.event.uid}", world.shopping_headers(shop.caller)


async def _clients(world: World, number: int) -> Asked:
    operator = await world.manage_client()
    for _ in range(number):
        await world.shopping_client()
    return "/manage/v1/clients", world.manage_headers(operator)


async def _catalogue(world: World, number: int) -> Asked:
    shop = await a_shop(world)
    for _ in range(number):
        await shop.product()
    operator = await world.manage_client()
    return "/manage/v1/catalogue", world.manage_headers(operator)


LISTS = [_orders, _service_orders, _consumers, _products, _an_event, _clients, _catalogue]


@pytest.mark.parametrize("made", LISTS)
async def test_a_list_pauses_for_each_of_its_items(
    world: World, made: Callable[[World, int], Awaitable[Asked]], monkeypatch: pytest.MonkeyPatch
):
    pauses = 0
    pause = Slices.pause

    async def counted(self: Slices) -> None:
        nonlocal pauses
        pauses += 1
        await pause(self)

    monkeypatch.setattr(slices, "SLICE_S", 0)
    monkeypatch.setattr(Slices, "pause", counted)
    needed, sizes = [], []
    for number in (1, 1 + MORE):
        path, headers = await made(world, number)
        pauses = 0
        answer = await world.http.get(path, headers=headers)
        assert answer.status_code == 200
        needed.append(pauses)
        sizes.append(len(answer.content))
    assert needed[1] - needed[0] >= MORE
    assert sizes[1] > sizes[0]
