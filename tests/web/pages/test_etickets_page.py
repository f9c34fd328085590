"""What stands on an e-ticket, and the calendar file of its event."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar

from support.ticket_shop import Shop, a_shop
from support.world import NOON, a_world

STARTS = datetime(2027, 2, 27, 19, 30, tzinfo=UTC)
TITLE = "Canal Days; water, wind\nand more"
PLACE = {"name": "Canal Park", "address": "Kade 1", "postal_code": "9712 AB", "city": "Groningen", "country": "NL"}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with a_world(tmp_path, sandbox_payments=True, pages_time_zone="Europe/Amsterdam") as world:
        made = await a_shop(world)
        await made.change_event(
            title={"en": TITLE}, starts_at=STARTS, ends_at=STARTS + timedelta(hours=5), more={"location": PLACE}
        )
        yield made


async def test_a_ticket_says_what_when_where_for_whom_which_seat_and_which_of_how_many(shop: Shop):
    seated, free = await shop.seated(5, price_minor=0), await shop.product(price_minor=0)
    page = await page_of(
        shop, {free: 1, seated: 2}, consumer={"first_name": "Jo", "last_name": "de Wit", "country": "NL"}
    )
    assert re.findall(r"Ticket \d of \d", page) == ["Ticket 1 of 3", "Ticket 2 of 3", "Ticket 3 of 3"]
    assert page.count("<h2>Canal Days; water, wind\nand more</h2>") == 3
    assert page.count('<time datetime="2027-02-27T19:30:00Z">Saturday 27 February 2027, 20:30</time>') == 3
    assert page.count('<time datetime="2027-02-28T00:30:00Z">01:30 CET</time>') == 3
    assert page.count("Canal Park<br>Kade 1<br>9712 AB Groningen, NL") == 3
    assert page.count("<dd>Jo de Wit</dd>") == 3
    assert re.findall("<dt>Seat</dt><dd>(.*?)</dd>", page) == ["Stalls, row A, seat 1", "Stalls, row A, seat 2"]


async def test_each_ticket_names_its_own_person_if_the_order_names_one_for_each(shop: Shop):
    body = shop.body({await shop.product(price_minor=0): 2})
    body["products"][0]["consumers"] = [{"first_name": "Ann"}, {"first_name": "Bob", "last_name": "Bos"}]
    made = (await shop.post("/orders", body)).json()
    page = (await shop.world.http.get(made["_links"]["shop:etickets"]["href"])).text
    assert re.findall("<dt>Name</dt><dd>(.*?)</dd>", page) == ["Ann", "Bob Bos"]


async def test_what_is_not_known_leaves_no_empty_line_on_the_ticket(shop: Shop):
    await shop.change_event(starts_at=None, ends_at=None, more={})
    page = await page_of(shop, {await shop.product(price_minor=0): 1}, consumer={"country": "NL"})
    assert "Ticket 1 of 1" in page
    assert not any(f"<dt>{name}</dt>" in page for name in ("When", "Where", "Name", "Seat"))
    assert "event.ics" not in page


async def test_the_event_of_a_ticket_can_be_added_to_a_calendar(shop: Shop):
    order = await ordered(shop, {await shop.product(price_minor=0): 2})
    etickets = order["_links"]["shop:etickets"]["href"]
    (link,) = re.findall('href="([^"]*event.ics)"', (await shop.world.http.get(etickets)).text)
    answer = await shop.world.http.get(unescape(link))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert answer.headers["content-disposition"] == 'attachment; filename="event.ics"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert all(len(line) <= 75 for line in answer.content.split(b"\r\n"))
    calendar = Calendar.from_ical(answer.text)
    (entry,) = calendar.walk("VEVENT")
    assert (str(calendar["version"]), bool(calendar["prodid"])) == ("2.0", True)
    assert str(entry["summary"]) == TITLE
    assert (entry.decoded("dtstart"), entry.decoded("dtend")) == (STARTS, STARTS + timedelta(hours=5))
    assert entry.decoded("dtstamp") == NOON
    assert str(entry["location"]) == "Canal Park, Kade 1, 9712 AB Groningen, NL"
    assert str(entry["uid"]) == f"{shop.event.uid}@shop.test"
    assert order["reference"] in str(entry["description"])
    assert etickets.rpartition("/")[2] not in answer.text.replace("\r\n ", ""), "people share their calendars"


async def test_there_is_no_calendar_file_for_an_unpaid_order_a_wrong_token_or_an_event_without_a_date(shop: Shop):
    unpaid = (await ordered(shop, {await shop.product(price_minor=1000): 1}))["_links"]["shop:etickets"]["href"]
    free = (await ordered(shop, {await shop.product(price_minor=0): 1}))["_links"]["shop:etickets"]["href"]
    wrong = free[:-1] + ("A" if free[-1] != "A" else "B")
    assert (await shop.world.http.get(free + "/event.ics")).status_code == 200
    for address in (unpaid, wrong):
        assert (await shop.world.http.get(address + "/event.ics")).status_code == 404
    await shop.change_event(starts_at=None, ends_at=None)
    assert (await shop.world.http.get(free + "/event.ics")).status_code == 404


async def ordered(shop: Shop, wanted: dict[str, int], **more: Any) -> dict[str, Any]:
    answer = await shop.order(wanted, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def page_of(shop: Shop, wanted: dict[str, int], **more: Any) -> str:
    """The page with the tickets of a new order."""
    order = await ordered(shop, wanted, **more)
    return unescape((await shop.world.http.get(order["_links"]["shop:etickets"]["href"])).text)
