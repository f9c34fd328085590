"""What does the relay need to send an event? The request, its result, and a function that turns one into the other."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from countermand.domain.delivering.endpoint import Endpoint


class AttemptError(StrEnum):
    """Why an attempt failed."""

    REFUSED_ADDRESS = "refused_address"  # the address may not be called (`delivery/addresses.py`)
    NAME = "name"  # the host's name does not resolve
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    BROKEN = "broken"  # the connection ended, or what came is not HTTP
    STATUS = "status"  # an answer that is no success; a redirect is none
    CUT_OFF = "cut_off"  # the node ended during the attempt
    FAULT = "fault"  # this service failed; its log says why
    SECRET = "secret"  # noqa: S105 - no key of this node decrypts the endpoint's secret, so nothing was sent


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """An attempt to send an event. `headers` are those of the dialect; `previous` is the id of the event before it."""

    endpoint: Endpoint
    event_id: str
    order_version: int
    attempt: int  # 1 for the first
    previous: str | None
    body: bytes
    content_type: str
    headers: Sequence[tuple[str, str]]
    now: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptResult:
    """How an attempt ended. `error` is None for a success.

    `address` is the address that was called; `status` is None without an answer; `answer` is the first KiB of the
    answer. `retry_after_s` is what the receiver asked for. `disables` means that the receiver wants no more events,
    `aborts` that it does not want this one again.
    """

    error: AttemptError | None
    duration_ms: int
    address: str | None = None
    status: int | None = None
    answer: bytes = b""
    retry_after_s: float | None = None
    disables: bool = False
    aborts: bool = False
    detail: str | None = None  # a sentence for the operator, if the error needs one


# Sends the event, within its time limit. Never raises for what a receiver or a network does.
Send = Callable[[Sending], Awaitable[AttemptResult]]
