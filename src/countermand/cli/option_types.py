"""Defines how the command line reads options and arguments that are paths or text."""

from collections.abc import Callable
from typing import Final, TypeVar

import typer

from countermand.environment import check_text, path_of

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


# Arguments of `typer.Option` and `typer.Argument` for a path, or for text.
PATH: Final[dict[str, object]] = {"parser": _said_by_the_option(path_of), "metavar": "PATH"}
TEXT: Final[dict[str, object]] = {"parser": _said_by_the_option(_text), "metavar": "TEXT"}
