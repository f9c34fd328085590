"""Adds, lists, shows, pauses, resumes, tests, rotates and removes endpoints, and sends events again.

Whoever may only manage the endpoints of one owner passes the owner's client; everybody else passes None, and manages
all endpoints. An endpoint of somebody else does not exist for an owner.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from countermand.actions.delivering.sending import AttemptError
from countermand.domain.client import ClientId
from countermand.domain.delivering.endpoint import Endpoint, EndpointId, Subscription
from countermand.domain.known import Unknown

ATTEMPTS_PAGE: Final = 100
LARGEST_ATTEMPTS_PAGE: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointSecrets:
    """What is shown once: the secret (`whsec_…`), and the public key (`whpk_…`) of an endpoint with ed25519."""

    endpoint: Endpoint
    secret: str
    public_key: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Backlog:
    """How many deliveries an endpoint waits for, and how old the oldest is; and how many were given up."""

    undelivered: int
    oldest_at: datetime | None
    given_up: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """An attempt in the log. `order` is the order's id in the operator's API, or None for an event without an order.

    `outcome` is `delivered`, `failed`, or `given_up` if it was the last one.
    """

    number: int  # counts all attempts of the service; a cursor
    endpoint_id: EndpointId
    event_id: str
    kind: str
    order: str | None
    order_version: int
    attempt: int
    at: datetime
    duration_ms: int
    address: str | None
    status: int | None
    error: AttemptError | Unknown | None
    detail: str | None
    answer: bytes
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptsWanted:
    """Which attempts to list, newest first: those that match every filter. `before` is the number of an attempt."""

    endpoint_id: EndpointId | None = None
    order: str | None = None
    kind: str | None = None
    outcome: str | None = None
    event_id: str | None = None
    before: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Redelivery:
    """Which events to send again: one, all that failed between two instants, or all after a position of the feed."""

    event: str | None = None
    failed_since: datetime | None = None
    failed_until: datetime | None = None
    after: str | None = None


def new_endpoint_id() -> EndpointId:
    """Return an id that no endpoint has."""
    return EndpointId(f"ep_{secrets.token_hex(8)}")


class EndpointAdministration(Protocol):
    """Manages endpoints. Every method but `add` and `all` raises `NotFoundError` for an unknown or removed endpoint."""

    async def add(self, url: str, subscription: Subscription, owner: ClientId | None) -> EndpointSecrets:
        """Add an endpoint, which hears of what is written from now on.

        Raises `FieldsError` for a URL that may not be called, and for a wrong subscription.
        """
        ...

    async def all(self, owner: ClientId | None) -> Sequence[Endpoint]:
        """Return the endpoints that were not removed, oldest first."""
        ...

    async def one(self, endpoint_id: EndpointId, owner: ClientId | None) -> tuple[Endpoint, Backlog]:
        """Return an endpoint and what waits for it."""
        ...

    async def pause(self, endpoint_id: EndpointId, owner: ClientId | None) -> Endpoint:
        """Send nothing until the endpoint is resumed. Events are kept. Pausing again changes nothing."""
        ...

    async def resume(self, endpoint_id: EndpointId, owner: ClientId | None) -> Endpoint:
        """Send all that is undelivered, also what was given up, oldest first and at a limited rate."""
        ...

    async def remove(self, endpoint_id: EndpointId, owner: ClientId | None) -> None:
        """Remove an endpoint. What it did not get is not kept for it any longer."""
        ...

    async def rotate(
        self, endpoint_id: EndpointId, owner: ClientId | None, overlap: timedelta, *, revoke_old_now: bool
    ) -> EndpointSecrets:
        """Give an endpoint a new secret. During the overlap, events are signed with both.

        Raises `ConflictError` (`overlap_running`) during the overlap of an earlier rotation, unless `revoke_old_now`.
        """
        ...

    async def test(self, endpoint_id: EndpointId, owner: ClientId | None) -> Attempt:
        """Send a test event now, in the same way as every other event, and return the attempt."""
        ...

    async def redeliver(self, endpoint_id: EndpointId, owner: ClientId | None, which: Redelivery) -> int:
        """Send events again under the same ids, and return how many.

        Raises `FieldsError` for an event that the endpoint does not hear of, or a wrong position; raises
        `CursorGoneError` as the feed does.
        """
        ...

    async def attempts(self, owner: ClientId | None, wanted: AttemptsWanted, at_most: int) -> Sequence[Attempt]:
        """Return attempts, newest first."""
        ...


# Checks a URL as each attempt will check it. Raises `FieldsError`.
CheckUrl = Callable[[str], Awaitable[None]]
