"""Protocols that requests about persons need, and `storage` implements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from countermand.domain.actor import Actor
from countermand.domain.client import ClientId
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.privacy import Person


class Place(StrEnum):
    """Where texts about persons are stored. The orders come first, because other texts stay with orders that stay."""

    ORDERS = "orders"
    CONSUMERS = "consumers"
    CANCELLATION_REASONS = "cancellation_reasons"
    REFUSAL_REASONS = "refusal_reasons"
    UNDONE_REASONS = "undone_reasons"  # of cancellations that were undone
    RESTORE_REASONS = "restore_reasons"  # why they were undone
    CORRECTION_REASONS = "correction_reasons"  # of voids of payments, refunds and chargebacks
    APPROVAL_REASONS = "approval_reasons"
    EVENTS = "events"
    APPOINTMENT_TASKS = "appointment_tasks"
    STORED_ANSWERS = "stored_answers"


class RequestKind(StrEnum):
    """What a request about a person was."""

    EXPORT = "export"
    FORGET = "forget"


Key = tuple[object, ...]  # the primary key of a row


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredText:
    """A stored text that mentions a person, with its parts about the person: objects, or the text itself.

    `names` has the ids and uids that the text contains, and its own.
    """

    place: Place
    key: Key
    parts: Sequence[Mapping[str, object]]
    names: frozenset[str]
    client_id: ClientId
    stored_at: datetime
    order_id: OrderId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scanned:
    """The texts of one step, and the key of the last row that it looked at; None if there was no further row."""

    texts: Sequence[StoredText]
    last: Key | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderAhead:
    """An order, and the end of the last event that it has tickets for, if there is one."""

    order: Order
    event_ends_at: datetime | None


class PersonalTexts(Protocol):
    """The texts about persons. Each call is one short transaction."""

    async def scan(self, place: Place, person: Person, after: Key | None) -> Scanned:
        """Look at the next rows of a place, and return those that mention the person."""
        ...

    async def forget(self, place: Place, key: Key, person: Person) -> bool:
        """Lock a row, and replace what is about the person. Return False if there is nothing about the person."""
        ...

    async def orders_ahead(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, OrderAhead]:
        """Return these orders with the ends of their events."""
        ...

    async def begin_request(
        self, request_id: str, kind: RequestKind, person: Person, actor: Actor, now: datetime
    ) -> None:
        """Record a request with who made it, and with a keyed hash of the address."""
        ...

    async def count_request(self, request_id: str, counts: Mapping[str, int], finished_at: datetime | None) -> None:
        """Record what a request counted, and when it was finished; None if something was left to do."""
        ...

    async def empty_log(self) -> None:
        """Remove replaced texts from the log of a database that is a file, unless somebody uses the log just then."""
        ...
