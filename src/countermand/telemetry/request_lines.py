"""Writes one log line per request. These lines do not go through structlog, which would cost ten times as much.

The lines of one turn of the event loop are written with one write. The request id is the only field with a caller's own
text; it is visible ASCII without spaces, so that no caller can forge lines or fields.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

# POSIX guarantees that a write to a pipe of up to 4 KiB stays in one piece, even if other processes write to it.
_ONE_PIECE_BYTES: Final = 4096


class RequestLine(msgspec.Struct, omit_defaults=True, gc=False):
    """The fields of a line. `order` is text: numbers of ticket orders are longer than many JSON readers can hold."""

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
    staff: str | None = None
    acting_as: str | None = None
    channel: str | None = None
    address: str | None = None


Render = Callable[[Sequence[RequestLine]], str]


class RequestLines:
    """Collects lines and writes them to standard error, where all other log lines go.

    `worker` is the number of this process if there are several. Lines of several processes are written in pieces that
    the system does not mix. `render` makes the text of lines, instead of `log_format`.
    """

    def __init__(
        self,
        log_format: Literal["text", "json"],
        *,
        worker: int | None = None,
        write: Callable[[str], object] | None = None,
        render: Render | None = None,
    ) -> None:
        self._render = render or (_as_json if log_format == "json" else _as_text)
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
        people: tuple[str | None, str | None] | None = None,
        *,
        channel: str | None = None,
        address: str | None = None,
    ) -> None:
        """Add a line. The line is written at the end of this turn of the event loop."""
        if not self._lines:
            self._now = datetime.now(UTC)  # read once per turn
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
                *(people or (None, None)),
                channel,
                address,
            )
        )

    def flush(self) -> None:
        """Write the collected lines."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        rendered = self._render(lines)
        with suppress(OSError, ValueError):  # a cancellation goes on even if the log is full or closed
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
    staff = "" if line.staff is None else f" staff={line.staff}"
    acting_as = "" if line.acting_as is None else f" acting_as={line.acting_as}"
    channel = "" if line.channel is None else f" channel={line.channel}"
    address = "" if line.address is None else f" address={line.address}"
    worker = "" if line.worker is None else f" worker={line.worker}"
    return (
        f"{moment}Z [{line.level:<9}] {line.event:<30} {line.method} {line.route} status={line.status} "
        f"outcome={line.outcome}{code} duration_ms={line.duration_ms}{channel}{client}{staff}{acting_as}{order}"
        f"{address} request_id={line.request_id}{worker}\n"
    )


def pieces_of(lines: str) -> list[str]:
    """Split the text after whole lines, into pieces that one write keeps together."""
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
