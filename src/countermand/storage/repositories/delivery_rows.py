"""Converts rows of deliveries, and of the events that are delivered."""

from typing import Final

import msgspec

from countermand.actions.delivering.ports import Delivery, EventKey, StoredEvent
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import EndpointNumber
from countermand.domain.orders.order import OrderId, OrderUid
from countermand.storage.repositories.feed import digest_of_row
from countermand.storage.sql_types import Row
from countermand.storage.tables.columns import instant, instant_or_none, micros_or_none

PENDING: Final = "pending"
OF_ATTEMPTS: Final = "attempts", "first_attempt_at", "body", "content_type", "headers"


def named(one: Delivery) -> dict[str, object]:
    """Return the key of a delivery, as the values of a statement."""
    return {
        "key_endpoint": one.endpoint,
        "key_order_id": one.key.order_id,
        "key_order_version": one.key.order_version,
        "key_place": one.place,
        "key_kind": one.key.kind,
    }


def attempt_of(one: Delivery) -> dict[str, object]:
    """Return what the attempts at a delivery left in its row."""
    headers = None if one.body is None else msgspec.json.encode(one.headers).decode()
    values = one.attempts, micros_or_none(one.first_attempt_at), one.body, one.content_type or None, headers
    return dict(zip(OF_ATTEMPTS, values, strict=True))


def event_of(row: Row, of: Row | None) -> StoredEvent:
    """Return an event of the outbox. `of` is the row of its order."""
    details = msgspec.json.decode(row["details"])
    return StoredEvent(
        key=EventKey(order_id=OrderId(row["order_id"]), order_version=row["order_version"], kind=row["kind"]),
        recorded_at=instant(row["recorded_at"]),
        details=details,
        digest=digest_of_row(row),
        contract=None if of is None else ContractName(of["contract"]),
        uid=None if of is None or of["uid"] is None else OrderUid(of["uid"]),
        client_id=None if of is None else ClientId(of["client_id"]),
    )


def delivery_of(row: Row) -> Delivery:
    """Return a delivery."""
    headers = row["headers"]
    return Delivery(
        endpoint=EndpointNumber(row["endpoint"]),
        key=EventKey(order_id=OrderId(row["order_id"]), order_version=row["order_version"], kind=row["kind"]),
        place=row["place"],
        digest=row["digest"],
        recorded_at=instant(row["recorded_at"]),
        attempts=row["attempts"],
        first_attempt_at=instant_or_none(row["first_attempt_at"]),
        is_pending=row["state"] == PENDING,
        body=row["body"],
        content_type=row["content_type"] or "",
        headers=() if headers is None else msgspec.json.decode(headers, type=tuple[tuple[str, str], ...]),
    )
