"""How is an order event named to its receivers? The same event always has the same id, another event another id."""

import hashlib
from typing import Final

from countermand.domain.contract import ContractName
from countermand.domain.orders.order import OrderId, OrderUid

_DIGITS: Final = 8


def event_digest(recorded_at: int, details: bytes) -> str:
    """Return the digest that tells apart two events of the same order, version and kind.

    Such events exist after a restore from a backup, when a version is used again. `recorded_at` is in microseconds
    since 1970. `details` are in a form that does not depend on the database: JSON with sorted names and no blanks.
    """
    return hashlib.sha256(b"%d %s" % (recorded_at, details)).hexdigest()[:_DIGITS]


def event_id(order: str, version: int, kind: str, digest: str) -> str:
    """Return the id of an event. `order` is the id of the order in the operator's API. An id has no full stop."""
    return f"evt_{order}_{version}_{kind.replace('.', '_')}_{digest}"


def id_text(contract: ContractName, uid: OrderUid | None, number: OrderId) -> str:
    """Return the id of an order in the operator's API, which names the contract and the order."""
    return f"{contract}-{uid or number}"
