"""The commands of the operator's calendar: load its slots from a file."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from countermand.actions.appointments.load_calendar import load_slots, slot_at
from countermand.actions.appointments.ports import OpenSlot
from countermand.actions.errors import ConflictError
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError
from countermand.cli.import_files import nothing_loaded, progress_of
from countermand.cli.option_types import PATH
from countermand.cli.printing import say
from countermand.cli.whole_help import WholeHelpGroup
from countermand.domain.appointments.appointment import HalfDay

if TYPE_CHECKING:
    from countermand.bootstrap.database import Database
    from countermand.contracts.manage.spreadsheet import Table

calendar = typer.Typer(
    help="When appointments are possible: the slots that clients can book.", no_args_is_help=True, cls=WholeHelpGroup
)

_NEEDED: Final = ("id", "starts_at", "ends_at", "capacity")
_COLUMNS: Final = (*_NEEDED, "area", "slot_type")
_AT_ONCE: Final = 500  # slots in one transaction


@calendar.command("import")
def import_slots(
    file: Annotated[Path, typer.Argument(help="A CSV file with a line of headings.", **PATH | {"metavar": "FILE"})],
    settings: SettingsFile = None,
) -> None:
    """Add the slots of a file, or change the slots with the same id. Loading the same file again changes nothing.

    Needed columns: id, starts_at and ends_at (with the customer's offset from UTC: 2026-12-01T08:00:00+11:00), and
    capacity. Optional columns: area (how the location ids begin that the slot is for, LOC3801; by default all) and
    slot_type (AM or PM; by default AM for a slot that begins before noon). The whole file is read first: if a line is
    wrong, nothing is loaded.
    """
    slots = _read(file)
    done: Counter[str] = Counter()

    async def load(database: "Database") -> None:
        with progress_of("slots", len(slots)) as advance:
            for some in _some_at_a_time(slots):
                async with database.store.transaction() as tx:
                    done.update(await load_slots(tx, some))
                advance(len(some))

    try:
        with_database(read_settings(settings), load)
    except ConflictError as error:
        raise CommandError(f"{error}; loaded before that: {_said(done)}") from None
    say(f"{file}: {len(slots):,} slots: {_said(done)}")


def _said(done: Counter[str]) -> str:
    return ", ".join(f"{done[what]:,} {what}" for what in ("added", "changed", "as they were"))


def _some_at_a_time(slots: Sequence[OpenSlot]) -> Iterator[Sequence[OpenSlot]]:
    left = iter(sorted(slots, key=lambda one: one.slot.id))
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _read(file: Path) -> Sequence[OpenSlot]:
    """Return every slot of the file. Raises `CommandError`, which names each wrong line."""
    slots: list[OpenSlot] = []
    errors: list[str] = []
    lines: dict[str, int] = {}
    table = _table(file)
    _check_headings(file, table.headings)
    for row in table.rows:
        try:
            one = _slot(table.headings, row.cells)
        except ValueError as error:
            errors.append(f"line {row.line}: {error}")
            continue
        if (first := lines.setdefault(one.slot.id, row.line)) != row.line:
            errors.append(f"line {row.line}: the slot {one.slot.id} stands in line {first}, too")
        slots.append(one)
    if errors:
        raise nothing_loaded(file, errors)
    return slots


def _table(file: Path) -> "Table":
    from countermand.contracts.manage.spreadsheet import SpreadsheetError, read_table

    try:
        return read_table(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}") from None
    except SpreadsheetError as error:
        raise nothing_loaded(file, [str(error)]) from None


def _check_headings(file: Path, given: Sequence[str]) -> None:
    missing = [name for name in _NEEDED if name not in given]
    twice = [name for name in given if given.count(name) > 1]
    unknown = [name for name in given if name not in _COLUMNS]
    wrong = [f"it has no {name}" for name in missing] + [f"there is no column {name!r}" for name in unknown]
    wrong += [f"the column {name} appears twice" for name in twice]
    if wrong:
        raise CommandError(f"{file} must begin with a line of headings, {', '.join(_COLUMNS)}: {wrong[0]}")


def _slot(headings: Sequence[str], cells: Sequence[str]) -> OpenSlot:
    if len(cells) != len(headings):
        raise ValueError("it has another number of values than the headings")
    given = dict.fromkeys(_COLUMNS, "") | {name: cell.strip() for name, cell in zip(headings, cells, strict=True)}
    for name in _NEEDED:
        if not given[name]:
            raise ValueError(f"{name} is missing")
    if not (given["capacity"].isascii() and given["capacity"].isdigit()):
        raise ValueError(f"capacity must be a whole number from 0 up, not {given['capacity']!r}")
    if given["slot_type"] not in {"", *HalfDay}:
        raise ValueError(f"slot_type must be AM or PM, not {given['slot_type']!r}")
    half_day = HalfDay(given["slot_type"]) if given["slot_type"] else None
    starts_at, ends_at = (_instant(name, given[name]) for name in ("starts_at", "ends_at"))
    return slot_at(given["id"], given["area"], starts_at, ends_at, half_day, int(given["capacity"]))


def _instant(name: str, given: str) -> datetime:
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        raise ValueError(f"{name} must be like 2026-12-01T08:00:00+11:00, not {given!r}") from None
