"""Writes the demo's request lines: for a person who tries calls and watches, not for a program that collects logs."""

import os
import re
import sys
from typing import Final

from countermand.telemetry.request_lines import Render, RequestLine

_PATH_WIDTH: Final = 36
_OUTCOME_WIDTH: Final = 13
_LONGEST_PATH: Final = 80
_LONG_NAME: Final = re.compile(r"[^/]{25,}")  # a uid, or a token in a path that was not typed as it should be
_NOT_SHOWN: Final = re.compile(r"[^\x21-\x7e]")
_RED, _YELLOW, _GREEN, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"


def lines_for_people() -> Render:
    """Return what makes the text of lines. A terminal gets colours, unless the variable `NO_COLOR` is set."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return lambda lines: "".join([line_for_people(line, coloured=coloured) for line in lines])


def line_for_people(line: RequestLine, *, coloured: bool) -> str:
    """Return a line: the local time, method, path, status, outcome, duration, and the order and why it was refused."""
    ended_at = f"{line.timestamp.astimezone():%H:%M:%S}"
    outcome = f"{line.status} {line.outcome:<{_OUTCOME_WIDTH}}"
    if coloured:
        outcome = f"{_colour(line.status)}{outcome}{_PLAIN}"
    more = [] if line.order is None else [f"order {line.order}"]
    if line.code:
        more.append(line.code.replace(",", ", "))
    told = f"{ended_at}  {line.method:<6} {_shown(line.route):<{_PATH_WIDTH}} {outcome} {line.duration_ms:>8.1f} ms"
    return f"{told}  {': '.join(more)}".rstrip() + "\n"


def _shown(path: str) -> str:
    """Return a path without its long names, which can be secrets, and without characters that a terminal obeys."""
    known = _LONG_NAME.sub(lambda found: found[0] if found[0].startswith("{") else f"{found[0][:4]}...", path)
    plain = _NOT_SHOWN.sub("?", known)
    return plain if len(plain) <= _LONGEST_PATH else f"{plain[: _LONGEST_PATH - 3]}..."


def _colour(status: int) -> str:
    if status >= 500:  # noqa: PLR2004 - the classes of HTTP
        return _RED
    return _YELLOW if status >= 400 else _GREEN  # noqa: PLR2004
