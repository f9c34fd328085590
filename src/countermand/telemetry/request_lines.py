"""How is a request logged? One line each, rendered apart from all other log lines, for they cost ten times as much.

The lines of one turn of the event loop are written with one write. Of all that is in them only the request id can be a
caller's own words, and that is visible ASCII without a space: nobody can write lines, or fields, of their own.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

# POSIX promises that a write to a pipe of up to 4 KiB comes out in one piece, whoever else writes to it.
_ONE_PIECE_BYTES: Final = 4096


class RequestLine(msgspec.Struct, omit_defaults=True, gc=False):
    """What a line says. `order` is text, as numbers of ticket orders are longer than many readers of JSON can hold."""

    timestamp: datetime
    level: str
    event: str
    request_id: str
    method: str
    route: str
    status: int
    outcome: str
    duration_ms: float
    code: str = ""
    client: int | None = None
    order: str | None = None
    worker: int | None = None


class RequestLines:
    """Gathers lines and writes them to standard error, where all other lines go.

    `worker` is the number of this process where there are several: then lines are written in pieces that do not mix.
    """

    def __init__(
        self,
        log_format: Literal["text", "json"],
        *,
        worker: int | None = None,
        write: Callable[[str], object] | None = None,
    ) -> None:
        self._render = _as_json if log_format == "json" else _as_text
        self._worker = worker
        self._write = write or _to_standard_error
        self._lines: list[RequestLine] = []
        self._now = datetime.now(UTC)

    def add(
        self,
        level: str,
        request_id: str,
        method: str,
        route: str,
        status: int,
        outcome: str,
        duration_s: float,
        code: str,
        client: int | None,
        order: str | None,
    ) -> None:
        """Add a line. It is written once the event loop has done what it is doing."""
        if not self._lines:
            self._now = datetime.now(UTC)  # read once a turn
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(
            RequestLine(
                self._now,
                level,
                "request",
                request_id,
                method,
                route,
                status,
                outcome,
                round(duration_s * 1000, 3),
                code,
                client,
                order,
                self._worker,
            )
        )

    def flush(self) -> None:
        """Write what was gathered."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        rendered = self._render(lines)
        with suppress(OSError, ValueError):  # a log that cannot be written, or is closed, stops no cancellation
            if self._worker is None:
                self._write(rendered)
            else:
                for piece in pieces_of(rendered):
                    self._write(piece)


def _as_json(lines: Sequence[RequestLine]) -> str:
    return _ENCODER.encode_lines(lines).decode()


def _as_text(lines: Sequence[RequestLine]) -> str:
    return "".join([_text(line) for line in lines])


def _text(line: RequestLine) -> str:
    moment = line.timestamp.isoformat(timespec="microseconds").removesuffix("+00:00")
    code = f" code={line.code}" if line.code else ""
    client = "" if line.client is None else f" client={line.client}"
    order = "" if line.order is None else f" order={line.order}"
    worker = "" if line.worker is None else f" worker={line.worker}"
    return (
        f"{moment}Z [{line.level:<9}] {line.event:<30} {line.method} {line.route} status={line.status} "
        f"outcome={line.outcome}{code} duration_ms={line.duration_ms}{client}{order} request_id={line.request_id}"
        f"{worker}\n"
    )


def pieces_of(lines: str) -> list[str]:
    """Whole lines, as many in a piece as one write keeps together."""
    pieces, begins = [], 0
    while len(lines) - begins > _ONE_PIECE_BYTES:
        ends = lines.rfind("\n", begins, begins + _ONE_PIECE_BYTES) + 1 or lines.index("\n", begins) + 1
        pieces.append(lines[begins:ends])
        begins = ends
    return [*pieces, lines[begins:]] if begins < len(lines) else pieces


def _to_standard_error(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


_ENCODER: Final = msgspec.json.Encoder()
