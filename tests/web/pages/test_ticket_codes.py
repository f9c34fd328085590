"""The codes on tickets are drawn beside the event loop, once, and for a few pages at a time."""

import asyncio
import threading
from typing import Any

import pytest
import segno

from countermand.actions.errors import UnavailableError
from countermand.web.pages import ticket_codes
from countermand.web.pages.ticket_codes import PAGES_AT_ONCE, TicketCodes, code_drawn
from support.shared_world import shared_sqlite_world
from support.world import World

sqlite_world = shared_sqlite_world


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was drawn, each with the thread that drew it. No code is remembered from another test."""
    made: list[tuple[str, int]] = []
    make_qr = segno.make_qr

    def watched(text: str, **more: Any) -> Any:
        made.append((text, threading.get_ident()))
        return make_qr(text, **more)

    monkeypatch.setattr(ticket_codes.segno, "make_qr", watched)
    code_drawn.cache_clear()
    return made


async def test_codes_are_drawn_in_one_other_thread_while_the_loop_goes_on(drawn: list[tuple[str, int]]):
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    codes = TicketCodes()
    pages = await asyncio.gather(*(codes.drawn([f"{page}-{n}" for n in range(10)]) for page in range(3)))
    counting.cancel()
    assert [len(page) for page in pages] == [10] * 3
    assert all("<svg" in drawing and f"{number}-" in drawing for number, page in enumerate(pages) for drawing in page)
    assert len({thread for _, thread in drawn}) == 1
    assert threading.get_ident() not in {thread for _, thread in drawn}
    assert turns > 30, "the loop took a turn between any two codes at least"


async def test_a_short_page_does_not_wait_for_a_long_one(drawn: list[tuple[str, int]]):
    codes = TicketCodes()
    long = asyncio.create_task(codes.drawn([f"long {n}" for n in range(100)]))
    await asyncio.sleep(0)
    await codes.drawn(["short"])
    assert not long.done()
    assert len(drawn) < 100
    await long


async def test_a_code_is_drawn_once(drawn: list[tuple[str, int]]):
    codes = TicketCodes()
    first = await codes.drawn(["a", "b"])
    assert await codes.drawn(["b", "a", "c"]) == [first[1], first[0], (await codes.drawn(["c"]))[0]]
    assert [text for text, _ in drawn] == ["a", "b", "c"]
    info = code_drawn.cache_info()
    assert info.maxsize is not None
    assert info.maxsize <= 10_000, "what is remembered has a bound"


async def test_beyond_the_limit_a_page_is_refused_and_a_place_is_free_again_afterwards(drawn: list[tuple[str, int]]):
    codes = TicketCodes()
    under_way = [asyncio.create_task(codes.drawn([f"{page} {n}" for n in range(3)])) for page in range(PAGES_AT_ONCE)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await codes.drawn(["one more"])
    assert await codes.drawn([]) == [], "a page without tickets needs no place"
    under_way[0].cancel()
    done = await asyncio.gather(*under_way, return_exceptions=True)
    assert [type(one) for one in done[1:]] == [list] * (PAGES_AT_ONCE - 1)
    assert "one more" not in {text for text, _ in drawn}
    assert len(await codes.drawn(["one more"])) == 1


@pytest.mark.usefixtures("drawn")
async def test_a_buyer_is_told_to_come_back_when_too_many_pages_are_drawn(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
):
    shop = await sqlite_world.shopping_client()
    view = await sqlite_world.ticket_order(shop, paid=True)
    page = f"/etickets/{view.ticket_details.etickets_token}"
    monkeypatch.setattr(ticket_codes, "PAGES_AT_ONCE", 0)
    refused = await sqlite_world.http.get(page)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert "Please try again in a moment." in refused.text
    assert refused.headers["content-type"] == "text/html; charset=utf-8"
    assert not any(ticket.code in refused.text for ticket in view.tickets)
    monkeypatch.undo()
    assert (await sqlite_world.http.get(page)).text.count("<svg") == 2
