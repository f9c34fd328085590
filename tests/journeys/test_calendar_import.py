"""`countermand calendar import`: a file of slots, loaded as often as one likes."""

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from support.appointments import booked, offer
from support.command_line import Run, Said, assert_one_sentence, runner
from support.serving import database_of
from support.shared_world import shared_sqlite_world, shared_world
from support.world import World, a_world

made = shared_world
sqlite_world = shared_sqlite_world

HEADINGS = "id,area,starts_at,ends_at,slot_type,capacity"
GOOD = f"""{HEADINGS}
am,LOC3801,2026-12-01T08:00:00+11:00,2026-12-01T12:00:00+11:00,AM,4
pm,,2026-12-01T13:00:00+11:00,2026-12-01T17:00:00+11:00,,1
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


async def test_slots_are_added_changed_or_left_as_they_were(run: Run, made: World, tmp_path: Path):
    file = written(tmp_path, GOOD)
    said = [await imported(run, made, file) for _ in range(2)]
    assert [one.out for one in said] == [
        f"{file}: 2 slots: 2 added, 0 changed, 0 as they were\n",
        f"{file}: 2 slots: 0 added, 0 changed, 2 as they were\n",
    ]
    rows = {row["id"]: row for row in await made.rows("slots")}
    starts_at = datetime(2026, 12, 1, 8, 0, tzinfo=timezone(timedelta(hours=11)))
    assert rows["am"] == {
        "id": "am",
        "area": "LOC3801",
        "starts_at": int(starts_at.timestamp()) * 1_000_000,
        "ends_at": int((starts_at + timedelta(hours=4)).timestamp()) * 1_000_000,
        "half_day": "AM",
        "utc_offset_s": 39_600,
        "capacity": 4,
    }
    assert (rows["pm"]["half_day"], rows["pm"]["area"]) == ("PM", "")
    changed = await imported(run, made, written(tmp_path, GOOD.replace(",AM,4", ",AM,9")))
    assert "0 added, 1 changed, 1 as they were" in changed.out


async def test_what_was_imported_is_offered_and_can_be_booked(run: Run, made: World, tmp_path: Path):
    me = await made.connect_client()
    order_id = await made.service_order(me)
    assert (await imported(run, made, written(tmp_path, GOOD))).code == 0
    assert [one["id"] for one in (await offer(made, me, order_id))["slots"]] == ["am", "pm"]
    assert (await booked(made, me, order_id, "pm"))["slotType"] == "PM"


async def test_a_slot_in_which_a_visit_stands_keeps_its_time(run: Run, made: World, tmp_path: Path):
    me = await made.connect_client()
    await imported(run, made, written(tmp_path, GOOD))
    await booked(made, me, await made.service_order(me), "pm")
    before = await made.rows("slots")
    said = await imported(run, made, written(tmp_path, GOOD.replace("T13:00", "T14:00")))
    assert_one_sentence(said, "the slot pm has 1 booked visits", "only its capacity")
    assert await made.rows("slots") == before


WRONG = {
    "no headings": ("am,,2026-12-01T08:00:00+11:00,2026-12-01T12:00:00+11:00,AM,4\n", "line of headings"),
    "an unknown column": (GOOD.replace("capacity", "places"), "capacity"),
    "no offset": (GOOD.replace("12:00:00+11:00", "12:00:00"), "line 2: starts_at and ends_at need"),
    "no time": (GOOD.replace("2026-12-01T08:00:00+11:00", "soon"), "line 2: starts_at must be like"),
    "it ends before it begins": (GOOD.replace("T17:00", "T12:00"), "line 3: ends_at must lie after starts_at"),
    "too many values": (GOOD.replace("AM,4", "AM,4,5"), "line 2: it has another number of values"),
    "a capacity below none": (GOOD.replace("AM,4", "AM,-4"), "line 2: capacity must be a whole number"),
    "a capacity beyond all": (GOOD.replace("AM,4", "AM,100001"), "line 2: capacity must be"),
    "another half": (GOOD.replace("AM,4", "NOON,4"), "line 2: slot_type must be AM or PM"),
    "no id": (GOOD.replace("am,LOC", ",LOC"), "line 2: id is missing"),
    "an id with a space": (GOOD.replace("am,LOC", "a m,LOC"), "line 2: id must be"),
    "a column twice": (GOOD.replace("slot_type,capacity", "area,capacity"), "the column area appears twice"),
    "the same id twice": (GOOD.replace("pm,,", "am,,"), "line 3: the slot am stands in line 2, too"),
    "an area that is none": (GOOD.replace("LOC3801", "3801"), "line 2: area must be"),
    "no UTF-8": (GOOD.replace("am,", "\udcff,"), "line 2: the file is not UTF-8"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_file_that_does_not_hold_is_told_by_line_and_nothing_is_loaded(
    run: Run, sqlite_world: World, tmp_path: Path, what: str
):
    content, told = WRONG[what]
    said = await imported(run, sqlite_world, written(tmp_path, content))
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert "Traceback" not in said.err
    assert await sqlite_world.rows("slots") == []


async def test_every_wrong_line_is_told_at_once(run: Run, sqlite_world: World, tmp_path: Path):
    said = await imported(run, sqlite_world, written(tmp_path, GOOD.replace("+11:00", "")))
    assert "line 2" in said.err
    assert "line 3" in said.err
    assert await sqlite_world.rows("slots") == []


AS_EXCEL_SAVES_IT = {
    "empty rows at the end": (GOOD + ",,,,,\n,,,,,\n").encode(),
    "an empty row between": GOOD.replace("\npm", "\n,,,,,\npm").encode(),
    "empty columns at the end": "".join(f"{line},,\r\n" for line in GOOD.splitlines()).encode(),
    "semicolons": GOOD.replace(",", ";").encode(),
    "semicolons, said in a first line": ("sep=;\r\n" + GOOD.replace(",", ";")).encode("utf-8-sig"),
    "Unicode text": GOOD.replace(",", "\t").encode("utf-16"),
    "blanks around headings": GOOD.replace("id,area", " id , area").encode(),
}


@pytest.mark.parametrize("what", AS_EXCEL_SAVES_IT)
async def test_slots_from_excel_are_loaded_as_they_stand_in_the_sheet(run: Run, tmp_path: Path, what: str):
    file = tmp_path / "slots.csv"
    async with a_world(tmp_path) as made:
        await imported(run, made, written(tmp_path, GOOD))
        plain = await made.rows("slots")
    (tmp_path / "excel").mkdir()
    async with a_world(tmp_path / "excel") as made:
        file.write_bytes(AS_EXCEL_SAVES_IT[what])
        said = await imported(run, made, file)
        assert said.out == f"{file}: 2 slots: 2 added, 0 changed, 0 as they were\n", said.err
        assert await made.rows("slots") == plain


def written(folder: Path, content: str) -> Path:
    file = folder / "slots.csv"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    return file


async def imported(run: Run, made: World, file: Path) -> Said:
    return await asyncio.to_thread(run, "calendar", "import", str(file), **database_of(made))
