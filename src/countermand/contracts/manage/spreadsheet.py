"""Reads a table that a spreadsheet saved as CSV, as Excel does in any country, or raises an error that says what to do.

It accepts UTF-8, and UTF-16 with a byte order mark; `,`, `;` or tabs between cells, or the separator that a first line
`sep=;` names; empty rows and columns. It refuses workbooks by name, and other encodings, which it could only guess.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Final

_SAVE: Final = "save it as “CSV UTF-8”, which Excel has in the list of “Save as”"
_SEPARATORS: Final = (",", ";", "\t")
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls


class SpreadsheetError(ValueError):
    """Raised if a file is not a table that can be read.

    Its sentence says why and what to do, and names the line if it can.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row below the headings: the line on which it begins, and its cells, of which there may be more or fewer."""

    line: int
    cells: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The headings, without blanks around them, and the rows that are not empty."""

    headings: Sequence[str]
    rows: Sequence[Row]


def text_of(content: bytes) -> str:
    """Return the text of a file, in the encoding of its byte order mark, or in UTF-8. Raises `SpreadsheetError`."""
    if content.startswith(_WORKBOOKS):
        raise SpreadsheetError(f"the file is a workbook, whatever its name; {_SAVE}")
    mark, encoding = next((one for one in _MARKS if content.startswith(one[0])), (b"", "utf-8"))
    if not mark and b"\0" in content[:2]:
        raise SpreadsheetError(f"the file is in UTF-16 without a byte order mark; {_SAVE}")
    content = content.removeprefix(mark)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        if encoding != "utf-8":
            raise SpreadsheetError(f"line {line}: the file begins as UTF-16 and goes on otherwise; {_SAVE}") from None
        likely = "perhaps it is in Windows-1252, as Excel's plain “CSV” is"
        raise SpreadsheetError(f"line {line}: the file is not UTF-8 ({likely}); {_SAVE}") from None


def read_table(content: bytes) -> Table:
    """Read a whole file. Raises `SpreadsheetError`."""
    text = text_of(content)
    first, *rest = re.split(r"\r\n|\r|\n", text, maxsplit=1)
    separator, lines_before = _separator_of(first), 0
    if (named := _named_separator(first)) is not None:
        separator, text, lines_before = named, "".join(rest), 1
    rows = list(_rows(text, separator, lines_before))
    headings = [heading.strip() for heading in rows[0].cells] if rows else []
    return _without_empty_columns(headings, rows[1:])


def _named_separator(line: str) -> str | None:
    """Return the separator in a first line `sep=;`, which Excel writes for itself, or None."""
    line = line.strip('"')
    return line[4] if line[:4].lower() == "sep=" and len(line) == len("sep=;") else None


def _separator_of(headings: str) -> str:
    """Return the separator that divides the headings into the most cells: no heading has a separator in it."""
    return max(_SEPARATORS, key=headings.count)


def _rows(text: str, separator: str, lines_before: int) -> Iterator[Row]:
    """Yield the rows that are not empty."""
    reader = csv.reader(StringIO(text, newline=""), strict=True, delimiter=separator)
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Row(line=begins + lines_before, cells=cells)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise SpreadsheetError(f"line {begins + lines_before}: {error}") from None


def _without_empty_columns(headings: Sequence[str], rows: Sequence[Row]) -> Table:
    """Return the table without columns that have no heading. Raises `SpreadsheetError` if such a column has a value."""
    kept = [at for at, heading in enumerate(headings) if heading]
    trimmed = []
    for row in rows:
        for at, cell in enumerate(row.cells):
            if cell.strip() and at < len(headings) and not headings[at]:
                raise SpreadsheetError(f"line {row.line}: column {at + 1} has a value and no heading")
        if len(row.cells) >= len(headings) and not any(cell.strip() for cell in row.cells[len(headings) :]):
            trimmed.append(Row(line=row.line, cells=[row.cells[at] for at in kept]))
        else:
            trimmed.append(row)
    return Table(headings=[headings[at] for at in kept], rows=trimmed)
