"""Writes messages as CSV (RFC 4180, UTF-8) that a spreadsheet opens. No text in it can become a formula."""

import csv
from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from typing import Final

import msgspec

from countermand.domain.instants import written_instant

CSV: Final = "text/csv"
# A spreadsheet takes a cell that begins so for a formula. The apostrophe before it says that the cell is text.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def headings(message: type[msgspec.Struct]) -> bytes:
    """Return the first line: the names of the message's fields."""
    return _line([field.name for field in msgspec.structs.fields(message)])


def row(message: msgspec.Struct) -> bytes:
    """Return a message of plain values, and lists of words, as a line."""
    return _line([_cell(value) for value in msgspec.structs.astuple(message)])


def _cell(value: object) -> str:
    match value:
        case list():
            return _cell(" ".join(map(str, value)))
        case None:
            return ""
        case msgspec.Raw():  # a number as it is written
            return bytes(value).decode()
        case datetime():
            return written_instant(value)
        case str():
            return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value
    return str(value)


def _line(cells: Sequence[str]) -> bytes:
    written = StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue().encode()
