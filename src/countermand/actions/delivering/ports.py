"""What delivery needs of a database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countermand.actions.ordering.views import OrderView
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import Endpoint, EndpointId, EndpointNumber, Health
from countermand.domain.orders.order import OrderId, OrderUid


@dataclass(frozen=True, kw_only=True, slots=True)
class EventKey:
    """What names an event in the outbox. An event about an endpoint has the endpoint's negative number as its order."""

    order_id: OrderId
    order_version: int
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent:
    """An event of the outbox, with the order that it is about. `digest` tells it from another one of the same key."""

    key: EventKey
    recorded_at: datetime
    details: Mapping[str, object]
    digest: str
    contract: ContractName | None
    uid: OrderUid | None
    client_id: ClientId | None  # whose order it is


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """An event that goes to an endpoint. `body` and the like are kept from the first attempt until it is delivered."""

    endpoint: EndpointNumber
    key: EventKey
    place: int
    digest: str
    recorded_at: datetime
    attempts: int = 0
    first_attempt_at: datetime | None = None
    is_pending: bool = True
    body: bytes | None = None
    content_type: str = ""
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedLane:
    """An order whose oldest event may be sent to an endpoint now. `was_cut_off` means that an attempt was not ended."""

    order_id: OrderId
    waiting: int
    was_cut_off: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedAttempt:
    """A row of the log of attempts."""

    number: int
    endpoint: EndpointNumber
    key: EventKey
    event_id: str
    attempt: int
    at: datetime
    duration_ms: int
    address: str | None
    status: int | None
    error: str | None
    detail: str | None
    answer: bytes
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneEnd:
    """What becomes of a lane after an attempt: the event is done with, or is tried again at `next_at`."""

    endpoint: EndpointNumber
    order_id: OrderId
    lease: str
    is_done: bool
    next_at: datetime
    head_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class LogQuestion:
    """Which attempts to read, newest first."""

    endpoints: Sequence[EndpointNumber] | None = None
    order_id: OrderId | None = None
    kind: str | None = None
    outcome: str | None = None
    event_id: str | None = None
    before: int | None = None


LaneKey = tuple[EndpointNumber, OrderId]
OrderNames = Mapping[OrderId, tuple[ContractName, OrderUid | None]]  # what the ids of orders are made of


def lane_of(delivery: Delivery) -> LaneKey:
    """Return the key of the lane that a delivery waits in."""
    return delivery.endpoint, delivery.key.order_id


class EndpointReading(Protocol):
    """Reads endpoints."""

    async def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints that were not removed, oldest first."""
        ...

    async def endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        """Return an endpoint, unless it was removed."""
        ...

    async def backlogs(
        self, of: EndpointNumber | None = None
    ) -> Mapping[EndpointNumber, tuple[int, datetime | None, int]]:
        """Return how many deliveries wait, since when the oldest was recorded, and how many were given up.

        An endpoint without any is left out, and so is every endpoint but `of`, if it is named.
        """
        ...

    async def logged(self, wanted: LogQuestion, at_most: int) -> Sequence[LoggedAttempt]:
        """Return attempts, newest first."""
        ...

    async def order_names(self, order_ids: Sequence[OrderId]) -> OrderNames:
        """Return of each order what its id in the operator's API is made of."""
        ...


class DispatchWriting(EndpointReading, Protocol):
    """Hands events to endpoints."""

    async def lock_delivery_head(self) -> datetime:
        """Lock the head, so that nobody else hands out events. Return from when on events are handed out."""
        ...

    async def write_dispatch_from(self, since: datetime) -> None:
        """Let events from before an instant go to no endpoint."""
        ...

    async def take_undispatched(self, since: datetime, at_most: int, now: datetime) -> Sequence[StoredEvent]:
        """Mark events that nobody was handed yet, and return them with all such events of the same orders."""
        ...

    async def add_deliveries(
        self,
        deliveries: Sequence[Delivery],
        now: datetime,
        attempted: Sequence[Delivery] = (),
        until: datetime | None = None,
        lease: str | None = None,
    ) -> Collection[LaneKey]:
        """Add deliveries, and their lanes, which are due now, whatever clock the events were recorded by.

        Nothing changes for a delivery that is there and waits. `attempted` has some of them as the claim of a first
        attempt leaves them: if the lane of such a delivery is new, then it is leased until then. Returns the lanes that
        were leased; the other deliveries are added without an attempt. The head must be locked.
        """
        ...

    async def deliveries_of(self, endpoint: EndpointNumber, orders: Sequence[OrderId]) -> Sequence[Delivery]:
        """Return all deliveries of some orders to an endpoint, in their order."""
        ...

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """Return orders with all that is shown of them."""
        ...

    async def pass_over_undispatched(self, since: datetime, at_most: int, now: datetime) -> int:
        """Mark events that go to nobody, and return how many."""
        ...


class EndpointChange(Protocol):
    """Changes what is known of an endpoint, and tells events about it."""

    async def lock_endpoint(self, endpoint: EndpointNumber) -> Endpoint | None:
        """Lock an endpoint and return it, unless it was removed."""
        ...

    async def write_health(self, endpoint: EndpointNumber, health: Health) -> None:
        """Write how the last attempts went."""
        ...

    async def write_state(self, endpoint: Endpoint) -> None:
        """Write whether an endpoint is paused, since when and why, and whether it was removed."""
        ...

    async def next_version(self, endpoint: EndpointNumber) -> int:
        """Count an event about an endpoint, and return its version."""
        ...

    async def append_endpoint_event(
        self, endpoint: EndpointNumber, kind: str, details: Mapping[str, object], now: datetime
    ) -> None:
        """Write an event about an endpoint into the outbox."""
        ...


class AttemptWriting(EndpointReading, EndpointChange, Protocol):
    """Claims lanes, and writes what became of attempts."""

    async def due_endpoints(self, now: datetime) -> Sequence[EndpointNumber]:
        """Return the active endpoints that have something to send now."""
        ...

    async def claim_probe(self, endpoint: EndpointNumber, now: datetime, until: datetime) -> bool:
        """Reserve the next probe of an endpoint that seems down. Return False if it is not time for one."""
        ...

    async def claim_lanes(
        self, endpoint: EndpointNumber, now: datetime, until: datetime, lease: str, at_most: int
    ) -> Sequence[ClaimedLane]:
        """Reserve lanes of an endpoint that is active and well, those that waited longest first."""
        ...

    async def claim_for_probe(
        self, endpoint: EndpointNumber, now: datetime, until: datetime, lease: str, *, newest: bool
    ) -> Sequence[ClaimedLane]:
        """Reserve the lane with the oldest event of an endpoint, or with the newest, whenever its next attempt is."""
        ...

    async def deliveries_of(self, endpoint: EndpointNumber, orders: Sequence[OrderId]) -> Sequence[Delivery]:
        """Return all deliveries of some orders to an endpoint, in their order."""
        ...

    async def stored_events(self, keys: Sequence[EventKey]) -> Mapping[EventKey, StoredEvent]:
        """Return the events of the outbox with these keys."""
        ...

    async def views(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderView]:
        """Return orders with all that is shown of them."""
        ...

    async def note_attempts(self, deliveries: Sequence[Delivery]) -> None:
        """Write the number of attempts, the instant of the first, and the body of each delivery."""
        ...

    async def log_attempts(self, attempts: Sequence[LoggedAttempt]) -> Sequence[int]:
        """Add rows to the log, whatever their `number` says. Return the numbers that they got."""
        ...

    async def end_deliveries(self, deliveries: Sequence[Delivery], state: str, now: datetime) -> None:
        """Mark deliveries as delivered or given up, and drop their bodies."""
        ...

    async def end_lanes(self, ends: Sequence[LaneEnd]) -> None:
        """Free the lanes whose lease is still held, and remove those that nothing waits in."""
        ...

    async def renew_settled(self, keys: Sequence[EventKey], now: datetime) -> None:
        """Let the time that settled events are kept begin now: they were settled long after their hand-out."""
        ...

    async def spread_lanes(
        self, endpoint: EndpointNumber, now: datetime, rate_per_s: float, orders: Sequence[OrderId] | None = None
    ) -> None:
        """Let the lanes of an endpoint that are not leased be due, oldest first, at a rate: all, or those of orders."""
        ...


class EndpointWriting(DispatchWriting, AttemptWriting, Protocol):
    """Adds and changes endpoints, and sends again."""

    async def add_endpoint(self, endpoint: Endpoint) -> Endpoint:
        """Add an endpoint, and return it with its number."""
        ...

    async def write_secrets(self, endpoint: Endpoint) -> None:
        """Write an endpoint's secrets."""
        ...

    async def given_up_again(self, endpoint: EndpointNumber, at_most: int) -> int:
        """Let some deliveries that were given up wait again. Return how many. The head must be locked: `wait_again`."""
        ...

    async def failed_between(
        self, endpoint: EndpointNumber, since: datetime, until: datetime, after: int, at_most: int
    ) -> Sequence[tuple[int, EventKey]]:
        """Return failed attempts between two instants with a larger number than `after`, in the order of numbers."""
        ...

    async def wait_again(self, deliveries: Sequence[Delivery]) -> int:
        """Let deliveries wait from now on, whether they are there or not. Return how many did not wait before.

        The head must be locked, so that nobody hands out the same events meanwhile, and locked before the endpoint.
        """
        ...

    async def undelivered_again(self, endpoint: EndpointNumber, keys: Sequence[EventKey]) -> int:
        """Let those of some deliveries that were given up wait again. Return how many wait now.

        The head must be locked: see `wait_again`.
        """
        ...

    async def forget_removed(self, at_most: int) -> int:
        """Delete some deliveries and lanes of endpoints that were removed. Return how many."""
        ...
