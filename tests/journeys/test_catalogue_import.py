"""`countermand catalogue import`: a file of JSON or CSV, loaded as often as one likes, whole or not at all."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from countermand.cli.catalogue import _some_at_a_time
from countermand.contracts.manage.catalogue_files import read_catalogue
from support.catalogue import get, listed
from support.command_line import Run, Said, runner
from support.database_contents import changed, contents
from support.serving import database_of
from support.shared_world import shared_sqlite_world, shared_world
from support.shopping_calls import availability
from support.world import World

sqlite_world = shared_sqlite_world
world = shared_world

EVENT, DAY, LOCKER, BOTH = ("e" * 32, "d" * 32, "1" * 32, "b" * 32)
WHOLE = f"""{{
  "events": [
    {{"uid": "{EVENT}", "merchant_name": "Canal Foundation", "title": {{"en": "Canal Days", "nl": "Grachtendagen"}},
      "sale_start": "2026-11-01T00:00:00Z", "sale_end": "2026-12-31T00:00:00Z"}}
  ],
  "products": [
    {{"uid": "{DAY}", "event": "{EVENT}", "name": {{"en": "Day ticket"}},
      "price": {{"amount": 12.50, "currency": "EUR"}}, "total_availability": 10}},
    {{"uid": "{BOTH}", "event": "{EVENT}", "name": {{"en": "Both"}}, "parts": [{{"product": "{DAY}"}}],
      "price": {{"amount": 15.00, "currency": "EUR"}}, "total_availability": 5}}
  ]
}}
"""
HEADINGS = "uid,event,name.en,price.amount,price.currency,total_availability,separately_saleable,types,parts"
LINES = f"""{HEADINGS}
{LOCKER},{EVENT},Locker,5.00,EUR,20,false,small;metal,
{"2" * 32},{EVENT},"Locker, and two days",25.5,EUR,7,,,{LOCKER};{DAY}*2
"""


ONE_OF_EACH = f"""{{
  "events": [{{"uid": "{EVENT}", "merchant_name": "M", "title": {{}},
               "sale_start": "2026-11-01T00:00:00Z", "sale_end": "2026-12-31T00:00:00Z"}}],
  "products": [{{"uid": "{DAY}", "event": "{EVENT}", "name": {{}}, "price": {{"amount": 1, "currency": "EUR"}},
                 "total_availability": 1}}],
  "methods": [{{"uid": "{DAY}", "kind": "payment", "name": {{}}, "costs": {{"amount": 1, "currency": "EUR"}}}}],
  "vouchers": [{{"code": "X", "event": "{EVENT}"}}]
}}"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


async def test_a_file_is_loaded_and_the_same_again_changes_nothing(run: Run, world: World, tmp_path: Path):
    file, shop = written(tmp_path, WHOLE), await world.shopping_client()
    said = await imported(run, world, file)
    assert (said.code, said.out) == (0, f"{file}: 3 items: 3 added, 0 changed, 0 as they were\n")
    before = await contents(world)
    again = await imported(run, world, file)
    assert again.out == f"{file}: 3 items: 0 added, 0 changed, 3 as they were\n"
    assert not changed(before, await contents(world))
    assert set(await listed(world, shop, "/products")) == {DAY, BOTH}
    assert (await get(world, shop, f"/products/{BOTH}")).json()["combo"] == [f"http://shop.test/products/{DAY}"]
    more = await imported(run, world, written(tmp_path, WHOLE.replace("12.50", "13")))
    assert more.out == f"{file}: 3 items: 0 added, 1 changed, 2 as they were\n"
    assert (await get(world, shop, f"/products/{DAY}")).json()["price"] == {"amount": 13, "currency": "EUR"}


async def test_products_come_as_csv_too(run: Run, world: World, tmp_path: Path):
    shop = await world.shopping_client()
    await imported(run, world, written(tmp_path, WHOLE))
    file = written(tmp_path, "\ufeff" + LINES.replace("\n", "\r\n"), "products.CSV")
    assert (await imported(run, world, file)).out == f"{file}: 2 items: 2 added, 0 changed, 0 as they were\n"
    assert "2 as they were" in (await imported(run, world, file)).out
    locker = (await get(world, shop, f"/products/{LOCKER}")).json()
    assert (locker["price"], locker["separately_saleable"]) == ({"amount": 5, "currency": "EUR"}, False)
    assert (locker["types"], locker["total_availability"]) == (["small", "metal"], 20)
    both = (await get(world, shop, f"/products/{'2' * 32}")).json()
    assert (both["name"]["en"], both["separately_saleable"], both["types"]) == ("Locker, and two days", True, [])
    parts = {
        row["part_uid"]: row["quantity"] for row in await world.rows("product_parts") if row["combo_uid"][0] == "2"
    }
    assert parts == {LOCKER: 1, DAY: 2}


async def test_seats_come_in_a_cell_and_in_json_and_are_the_same(run: Run, world: World, tmp_path: Path):
    headings, line = "uid,event,name.en,price.amount,price.currency,seats", f"{DAY},{EVENT},Day ticket,12.50,EUR"
    await imported(run, world, written(tmp_path, WHOLE.split('  "products"', maxsplit=1)[0].rstrip().rstrip(",") + "}"))
    file = written(tmp_path, f"{headings}\n{line},Stalls/A/1-20; Stalls/B/2-5\n", "seats.csv")
    assert "1 added" in (await imported(run, world, file)).out
    assert await availability(world, DAY) == len(await world.rows("seats")) == 24
    seats = """[{"section": "Stalls", "row": "A", "first": 1, "last": 20},
                 {"section": "Stalls", "row": "B", "first": 2, "last": 5}], "total_availability": 24"""
    by_json = WHOLE.replace('"total_availability": 10', f'"seats": {seats}')
    assert "1 added, 0 changed, 2 as they were" in (await imported(run, world, written(tmp_path, by_json))).out
    wrong = await imported(run, world, written(tmp_path, f"{headings}\n{line},Stalls/A/1-\n", "wrong.csv"))
    assert "line 2: products[0].seats[0] must be an object, not" in wrong.err


DUTCH = f"""uid;event;name.en;price.amount;price.currency;total_availability;types
{LOCKER};{EVENT};Café;12,50;EUR;10;"small;metal"
"""
AS_EXCEL_SAVES_IT = {
    "CSV UTF-8 in the Netherlands": DUTCH.encode("utf-8-sig"),
    "with a first line that says so": f"sep=;\r\n{DUTCH}".encode("utf-8-sig"),
    "Unicode text": DUTCH.replace(";", "\t").replace('"small\tmetal"', "small;metal").encode("utf-16"),
    "empty rows and columns": "".join(f"{line};;\n" for line in [*DUTCH.splitlines(), ";;;;;;"]).encode(),
    "CSV in Australia": DUTCH.replace('"small;metal"', "small+metal")
    .replace("12,50", "12.50")
    .replace(";", ",")
    .replace("+", ";")
    .encode(),
}


@pytest.mark.parametrize("what", AS_EXCEL_SAVES_IT)
async def test_products_from_excel_have_their_prices_and_names(
    run: Run, sqlite_world: World, tmp_path: Path, what: str
):
    await imported(run, sqlite_world, written(tmp_path, WHOLE))
    file = tmp_path / "products.csv"
    file.write_bytes(AS_EXCEL_SAVES_IT[what])
    assert (await imported(run, sqlite_world, file)).out == f"{file}: 1 items: 1 added, 0 changed, 0 as they were\n"
    locker = (await get(sqlite_world, await sqlite_world.shopping_client(), f"/products/{LOCKER}")).json()
    assert (locker["price"], locker["name"]["en"]) == ({"amount": 12.5, "currency": "EUR"}, "Café")
    assert (locker["types"], locker["total_availability"]) == (["small", "metal"], 10)


CANNOT_BE_READ = {
    "Windows-1252": (DUTCH.encode("cp1252"), ["line 2: the file is not UTF-8", "Windows-1252", "CSV UTF-8"]),
    "UTF-16 without a mark": (DUTCH.encode("utf-16-le"), ["UTF-16 without a byte order mark", "CSV UTF-8"]),
    "a workbook": (b"PK\x03\x04 and so on", ["is a workbook", "CSV UTF-8"]),
    "thousands": (DUTCH.replace("12,50", "1,250").encode(), ["line 2: products[0].price.amount", '"1,250"']),
    "a value without a heading": (DUTCH.replace(";types", ";").encode(), ["line 2: column 7 has a value and no"]),
}


@pytest.mark.parametrize("what", CANNOT_BE_READ)
async def test_what_cannot_be_read_without_guessing_says_why_and_how_to_save_it(
    run: Run, sqlite_world: World, tmp_path: Path, what: str
):
    await imported(run, sqlite_world, written(tmp_path, WHOLE))
    before = await contents(sqlite_world)
    file = tmp_path / "products.csv"
    file.write_bytes(CANNOT_BE_READ[what][0])
    said = await imported(run, sqlite_world, file)
    assert (said.code, said.out) == (2, "")
    assert [one for one in CANNOT_BE_READ[what][1] if one not in said.err] == [], said.err
    assert not changed(before, await contents(sqlite_world))


async def test_json_from_notepad_in_utf_16_is_loaded(run: Run, sqlite_world: World, tmp_path: Path):
    file = tmp_path / "catalogue.json"
    file.write_bytes(WHOLE.encode("utf-16"))
    assert "3 added" in (await imported(run, sqlite_world, file)).out


CSV_OF_OTHERS = {
    "events": f"uid,merchant_name,title.en,sale_start,sale_end,location.city,artists\n{'f' * 32},M,T,"
    "2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,Groningen,A;B\n",
    "methods": f"uid,kind,name.en,costs.amount,costs.currency,countries\n{'a' * 32},payment,iDeal,1,EUR,NL;BE\n",
    "vouchers": f"code,event,products,discount_percent,uses_cap\nSUMMER,{EVENT},{DAY};{BOTH},15,\n",
}


@pytest.mark.parametrize("kind", CSV_OF_OTHERS)
async def test_a_csv_file_holds_what_its_headings_tell(run: Run, sqlite_world: World, tmp_path: Path, kind: str):
    await imported(run, sqlite_world, written(tmp_path, WHOLE))
    before = await sqlite_world.rows(kind)
    file = written(tmp_path, CSV_OF_OTHERS[kind], "more.csv")
    assert (await imported(run, sqlite_world, file)).out == f"{file}: 1 items: 1 added, 0 changed, 0 as they were\n"
    (added,) = [row for row in await sqlite_world.rows(kind) if row not in before]
    wanted = {"events": '"city":"Groningen"', "methods": '["NL","BE"]', "vouchers": f'["{DAY}", "{BOTH}"]'}
    assert wanted[kind] in "".join(str(value) for value in added.values())


async def test_a_csv_file_gives_artists_and_genres_in_languages_and_facilities_by_name(
    run: Run, sqlite_world: World, tmp_path: Path
):
    headings = "uid,merchant_name,title.en,sale_start,sale_end,artists.en,artists.nl,genres.en,facilities.lockers"
    line = f"{EVENT},M,T,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,Low Bridge; The Keepers,Lage Brug,folk,TRUE"
    file = written(tmp_path, f"{headings},facilities.parking\n{line},At the station\n", "events.csv")
    said = await imported(run, sqlite_world, file)
    assert (said.code, "1 added" in said.out) == (0, True), said.err
    shown = (await get(sqlite_world, await sqlite_world.shopping_client(), f"/events/{EVENT}")).json()
    names = [{language: text for language, text in one.items() if text} for one in shown["artists"]]
    assert names == [{"en": "Low Bridge", "nl": "Lage Brug"}, {"en": "The Keepers"}]
    assert [one["name"]["en"] for one in shown["genres"]] == ["folk"]
    assert shown["facilities"] == {"lockers": True, "parking": "At the station"}


async def test_more_than_one_transaction_holds_are_loaded_parts_before_combos(run: Run, world: World, tmp_path: Path):
    parts = [f"{number:032x}" for number in range(1_000, 1_600)]
    lines = [f"{uid},{EVENT},P,1,EUR,1,,," for uid in parts]
    lines.insert(0, f"{'0' * 32},{EVENT},Combo,1,EUR,1,,,{parts[-1]}")
    await imported(run, world, written(tmp_path, WHOLE))
    said = await imported(run, world, written(tmp_path, "\n".join([HEADINGS, *lines]), "many.csv"))
    assert (said.code, "601 added" in said.out) == (0, True), said.err
    assert len(await world.rows("products")) == 603


def test_a_hundred_of_anything_are_loaded_in_one_transaction_and_everything_once():
    def many(kind: str) -> list[dict[str, Any]]:
        (one,) = json.loads(ONE_OF_EACH)[kind]
        name = "code" if kind == "vouchers" else "uid"
        return [one | {name: f"{number:032x}"} for number in range(201)]

    content = json.dumps({kind: many(kind) for kind in ("events", "products", "methods", "vouchers")})
    whole = read_catalogue(content.encode(), is_csv=False).catalogue
    pieces = list(_some_at_a_time(whole))
    assert [len(piece) for piece in pieces] == [100, 100, 1] * 4
    for kind in ("events", "methods", "products", "vouchers"):
        assert [one for piece in pieces for one in getattr(piece, kind)] == list(getattr(whole, kind))


async def test_what_is_held_stays_held_and_a_total_below_it_is_refused(run: Run, world: World, tmp_path: Path):
    shop = await world.shopping_client()
    await imported(run, world, written(tmp_path, WHOLE))
    await world.ticket_order(shop, product=DAY, quantity=4)
    total = '"total_availability": 10'
    assert (await imported(run, world, written(tmp_path, WHOLE.replace(total, total[:-2] + "4")))).code == 0
    assert await availability(world, DAY) == 0
    before = await contents(world)
    lower = WHOLE.replace(total, total[:-2] + "3").replace('"Canal Days"', '"New"').replace("15.00", "16.00")
    said = await imported(run, world, written(tmp_path, lower))
    assert (said.code, said.out) == (2, "")
    assert "nothing was loaded" in said.err
    assert (
        f"line 7: products[0].total_availability: the product {DAY} has more places sold than its new total of 3"
        in said.err
    )
    assert not changed(before, await contents(world))


WRONG: dict[str, tuple[str, str, list[str]]] = {
    "no JSON": ("c.json", WHOLE[:-10], ["the file is not JSON"]),
    "no UTF-8": ("c.json", WHOLE.replace("Canal", "\udcff"), ["the file is not UTF-8"]),
    "empty": ("c.json", "", ["the file is empty"]),
    "no object": ("c.json", "[]", ["must be an object"]),
    "a field twice": ("c.json", WHOLE.replace('"parts"', '"event"'), ['"event" appears twice']),
    "an unknown list": ("c.json", '{"prodcuts": []}', ["there is no 'prodcuts', only events, products"]),
    "an unknown field": (
        "c.json",
        WHOLE.replace('"parts"', '"part"'),
        ["line 9: products[1].part is not known; known: uid, event"],
    ),
    "a wrong type": (
        "c.json",
        WHOLE.replace("12.50", '"12.50"'),
        ["line 7: products[0].price.amount must be a number, not"],
    ),
    "missing": (
        "c.json",
        WHOLE.replace('"merchant_name": "Canal Foundation", ', ""),
        ["line 3: events[0].merchant_name is"],
    ),
    "an unknown event": (
        "c.json",
        WHOLE.replace(f'"{DAY}", "event": "{EVENT}"', f'"{DAY}", "event": "{"9" * 32}"'),
        ["line 7: products[0].event: there is no event 9", "line 9: products[1].parts: there is no product d"],
    ),
    "two wrong lines": (
        "c.json",
        WHOLE.replace("12.50", "12.505").replace("15.00", "-1"),
        ["line 7: products[0].price: an amount has at most two decimals", "line 9: products[1].price: an amount lies"],
    ),
    "no telling heading": ("c.csv", LINES.replace("price.amount", "price"), ["line 1: the headings must be"]),
    "a heading twice": ("c.csv", LINES.replace("types", "uid"), ["line 1: the headings must be different"]),
    "an unknown heading": ("c.csv", LINES.replace("types", "colour"), ["line 2: products[0].colour is not known"]),
    "too few cells": (
        "c.csv",
        LINES.replace("small;metal,", "small;metal"),
        ["line 2: it has another number of values"],
    ),
    "a cell that is no number": (
        "c.csv",
        LINES.replace("5.00", "cheap").replace(",7,", ",seven,"),
        [
            'line 2: products[0].price.amount must be a number, not "cheap"',
            'line 3: products[1].total_availability must be a whole number between 0 and 100000000, not "seven"',
        ],
    ),
    "a cell that is neither": (
        "c.csv",
        LINES.replace("false", "no"),
        ["line 2: products[0].separately_saleable must be"],
    ),
    "a part that is none": ("c.csv", LINES.replace("*2", "*two"), ["line 3: products[1].parts[1].quantity must be"]),
    "a heading and one within it": (
        "c.csv",
        LINES.replace("types", "price").replace("small;metal", "5"),
        ["line 1: the heading price.amount is within price, which is there, too"],
    ),
    "a quote that never ends": ("c.csv", LINES.replace('days"', "days"), ["line 3: unexpected end of data"]),
    "a cell of several lines": (
        "c.csv",
        LINES.replace("Locker, and", "Locker,\r\n\nand").replace(",7,", ",seven,"),
        ["line 3: products[1].total_availability"],
    ),
    "no JSON on a later line": ("c.json", WHOLE.replace("12.50,", "12.50 x"), ["line 8: the file is not JSON"]),
    "an unknown field within another": (
        "c.json",
        WHOLE.replace('"sale_start"', '"location": {"town": "Groningen"}, "sale_start"'),
        ["line 3: events[0].location.town is not known; known: name, address"],
    ),
    "an unknown field of a part": (
        "c.json",
        WHOLE.replace(f'{{"product": "{DAY}"', f'{{"product": "{DAY}", "quantiy": 2'),
        ["line 9: products[1].parts[0].quantiy is not known; known: product, quantity"],
    ),
    "another ending": ("c.txt", LINES, ["c.txt must end in .json or .csv"]),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_file_that_does_not_hold_is_told_by_line_and_nothing_is_loaded(
    run: Run, sqlite_world: World, tmp_path: Path, what: str
):
    name, content, told = WRONG[what]
    before = await contents(sqlite_world)
    said = await imported(run, sqlite_world, written(tmp_path, content, name))
    assert (said.code, said.out) == (2, "")
    assert [one for one in told if one not in said.err] == [], said.err
    assert "Traceback" not in said.err
    assert not changed(before, await contents(sqlite_world))


async def test_of_many_wrong_lines_twenty_are_told_and_how_many_more(run: Run, sqlite_world: World, tmp_path: Path):
    lines = "\n".join(f"{number:032x},{EVENT},P,x,EUR,1,,," for number in range(25))
    said = await imported(run, sqlite_world, written(tmp_path, f"{HEADINGS}\n{lines}", "c.csv"))
    assert [line for line in range(1, 30) if f"line {line}: " in said.err] == [*range(2, 22)]
    assert said.err.endswith("and 5 more\n")


def written(folder: Path, content: str, name: str = "catalogue.json") -> Path:
    file = folder / name
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    return file


async def imported(run: Run, world: World, file: Path) -> Said:
    return await asyncio.to_thread(run, "catalogue", "import", str(file), **database_of(world))
