"""Prints what a command found: a table or sentences for people, JSON for programs."""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from msgspec import Struct

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print JSON for programs, as /manage/v1 answers; a failure is JSON, too."),
]
_JOINERS: Final = "\u200c\u200d"  # names in some scripts need them
_WIDE: Final = 1000  # characters: in a pipe, each row is one whole line, for programs that search it


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below headings, as wide as the terminal."""
    table = Table(*(Column(heading, overflow="fold") for heading in headings))
    for row in rows:
        table.add_row(*map(one_line, row))
    Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, emoji=False, highlight=False).print(table)


def say(*sentences: str, err: bool = False) -> None:
    """Print sentences for people, each on a line of its own, whatever texts of callers are in it."""
    for sentence in sentences:
        typer.echo(one_line(sentence), err=err)


def one_line(text: str) -> str:
    r"""Return a text with escapes for what a terminal would obey, such as `\n` for a line end.

    These are line ends, other control characters, and characters that are invisible or turn the direction of writing.
    """
    return "".join(one if _is_harmless(one) else one.encode("unicode_escape").decode() for one in text)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"


def said(instant: datetime | None) -> str:
    """Return an instant for people; nothing for None."""
    return "" if instant is None else instant.strftime("%Y-%m-%d %H:%M:%SZ")


def print_json(message: object) -> None:
    """Print a message of an API."""
    from countermand.contracts.http.answer import indented

    typer.echo(indented(message))


def fields_of(message: "Struct") -> dict[str, object]:
    """Return the fields of a message, for a JSON object with more fields than the API answers."""
    from msgspec.structs import asdict

    return asdict(message)
