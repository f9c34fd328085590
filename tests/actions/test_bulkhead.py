"""How many changes may begin at once, and who waits for whom."""

import asyncio
from collections.abc import Sequence

import pytest

from countermand.actions.bulkhead import Bulkhead
from countermand.actions.errors import UnavailableError


class Crowd:
    """Changes that hold their room until they are let go."""

    def __init__(self, connections: int, *, limit_s: float = 30) -> None:
        self.bulkhead = Bulkhead(connections=connections, limit_s=limit_s)
        self.inside: list[str] = []
        self.let_go = asyncio.Event()

    async def enters(self, *names: str, stock: bool = False) -> None:
        async with self.bulkhead.room(names, stock=stock):
            self.inside.append("+".join(names))
            await self.let_go.wait()

    async def come(self, *wanted: tuple[Sequence[str], bool]) -> list["asyncio.Task[None]"]:
        tasks = [asyncio.create_task(self.enters(*names, stock=stock)) for names, stock in wanted]
        for _ in range(10):
            await asyncio.sleep(0)
        return tasks


@pytest.mark.parametrize(
    ("connections", "changes", "stock", "of_each"), [(1, 1, 1, 1), (2, 1, 1, 1), (10, 6, 5, 2), (30, 20, 15, 6)]
)
async def test_the_shares_of_all_changes_of_stock_and_of_one_thing(
    connections: int, changes: int, stock: int, of_each: int
):
    for wanted, at_once in (
        ([([], False)] * 50, changes),
        ([([f"{number}"], True) for number in range(50)], stock),
        ([(["one"], False)] * 50, of_each),
        ([(["one"], True)] * 50, of_each),
    ):
        crowd = Crowd(connections)
        tasks = await crowd.come(*wanted)
        assert len(crowd.inside) == at_once
        crowd.let_go.set()
        await asyncio.gather(*tasks)
        assert len(crowd.inside) == 50


async def test_a_crowd_that_wants_one_product_leaves_room_for_buyers_of_another():
    crowd = Crowd(10)
    tasks = await crowd.come(*[(["wanted"], True)] * 50, (["other"], True), (["wanted", "other"], True), ([], False))
    assert crowd.inside == ["wanted", "wanted", "other", ""]
    crowd.let_go.set()
    await asyncio.gather(*tasks)


async def test_those_who_name_the_same_things_in_another_order_never_wait_in_a_circle():
    crowd = Crowd(1)
    crowd.let_go.set()
    both = [(["a", "b"], True), (["b", "a"], True), (["a", "a"], False)] * 20
    await asyncio.wait_for(asyncio.gather(*(await crowd.come(*both))), timeout=10)
    assert len(crowd.inside) == 60


async def test_who_waits_in_vain_is_told_so_and_leaves_its_place_to_others():
    crowd = Crowd(10, limit_s=0.1)
    inside = await crowd.come(*[(["wanted"], True)] * 2)
    late = await asyncio.gather(*(await crowd.come(*[(["wanted"], True)] * 5)), return_exceptions=True)
    assert {type(error) for error in late} == {UnavailableError}
    leaving = (await crowd.come((["wanted"], True)))[0]
    leaving.cancel()
    crowd.let_go.set()
    await asyncio.gather(*inside)
    again = await crowd.come(*[(["wanted"], True)] * 3)
    await asyncio.gather(*again)
    assert len(crowd.inside) == 5
    assert crowd.bulkhead._named == {}  # names that nobody wants are forgotten
