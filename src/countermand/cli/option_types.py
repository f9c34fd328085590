"""Defines how the command line reads options and arguments that are paths or text."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import typer

from countermand.cli.errors import CommandError, named_as_options
from countermand.environment import check_text, path_of

if TYPE_CHECKING:
    from msgspec import Struct

Given = TypeVar("Given")


def _said_by_the_option(read: Callable[[str], Given]) -> Callable[[str], Given]:
    def parser(given: str) -> Given:
        try:
            return read(given)
        except ValueError as error:
            raise typer.BadParameter(f"{error}, not {given!r}") from None

    return parser


def _text(given: str) -> str:
    check_text(given)
    return given


def check_fields(message: "type[Struct]", **options: str) -> None:
    """Check options as the API checks the fields of a message. Raises `FieldsError` in the names of the options.

    Each must have a visible character, too.
    """
    from countermand.contracts.http.body import read
    from countermand.contracts.manage.calls import check_visible

    with named_as_options():
        read(message, options)
        for field, text in options.items():
            check_visible(field, text)


def check_encoding(arguments: Sequence[str]) -> None:
    """Raise `CommandError` for an argument that is not valid UTF-8."""
    for number, given in enumerate(arguments, 1):
        try:
            given.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(given).decode(errors="backslashreplace")
            after = f" (after {arguments[number - 2]})" if number > 1 else ""
            sentence = f"argument {number}{after} is not valid UTF-8: {shown}; nothing was done; write it in UTF-8"
            raise CommandError(sentence) from None


# Arguments of `typer.Option` and `typer.Argument` for a path, or for text.
PATH: Final[dict[str, object]] = {"parser": _said_by_the_option(path_of), "metavar": "PATH"}
TEXT: Final[dict[str, object]] = {"parser": _said_by_the_option(_text), "metavar": "TEXT"}
