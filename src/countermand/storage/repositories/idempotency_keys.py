"""Converts idempotency keys, and what they stand for, from and to rows."""

from countermand.actions.cancelling.ports import Kept, KeptOutcome, KeptRefusal, KeptUndone
from countermand.actions.idempotency import Fingerprints, IdempotencyKey
from countermand.domain.cancelling.policy import PolicyVersion
from countermand.domain.client import ClientId
from countermand.domain.orders.order import OrderId
from countermand.storage.repositories.facts import facts_of_decision
from countermand.storage.sql_types import Row
from countermand.storage.tables.columns import instant


def fingerprints_of(row: Row) -> Fingerprints:
    """Return the fingerprints of an idempotency key. Nodes for schema 5 and older store no hash of the message."""
    return Fingerprints(request=row["fingerprint"], message=row["message_fingerprint"])


def key_columns(client_id: ClientId, key: IdempotencyKey) -> tuple[ClientId, str, str, str | None]:
    """Return a key's client, its name and its two fingerprints, in the order of the columns."""
    return client_id, key.key, key.fingerprints.request, key.fingerprints.message


def kept_of(row: Row) -> Kept:
    """Return what an idempotency key stands for."""
    fingerprints = fingerprints_of(row)
    if row["undone_at"] is not None:
        return KeptUndone(fingerprints=fingerprints)
    if row["order_id"] is None:
        return fingerprints
    refusal = None
    if not row["cancelled"]:
        refusal = KeptRefusal(
            policy_version=PolicyVersion(row["policy_version"]),
            facts=facts_of_decision(row),
            decided_at=instant(row["created_at"]),
        )
    return KeptOutcome(fingerprints=fingerprints, order_id=OrderId(row["order_id"]), refusal=refusal)
