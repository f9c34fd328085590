"""What is an order, and which of its facts do decisions look at?"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType

from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.known import Unknown
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import OrderState

OrderId = NewType("OrderId", int)
OrderUid = NewType("OrderUid", str)

LARGEST_ORDER_ID: Final = 2**63 - 1
_FIRST_OF_UIDS: Final = 2**62
# New uids are 32 hexadecimal characters; uids of the documented form are accepted, too (shopping decision 23).
UID_PATTERN: Final = "[0-9a-z]{32}"


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderFacts:
    """Everything that a cancellation policy may look at: columns of the order's row, which every change keeps true."""

    state: OrderState | Unknown
    appointment_starts_at: datetime | None = None  # start of the active appointment
    first_payment_at: datetime | None = None  # the first payment that was not voided, even if refunded since
    refunded_in_full: bool = False  # whether all money of such payments was refunded or charged back

    @property
    def unrefunded_payment_at(self) -> datetime | None:
        """The first payment that was not voided; None if the order was refunded in full."""
        return None if self.refunded_in_full else self.first_payment_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """An order as its row stores it. `version` rises by one with every change.

    `kind` is unknown if this node does not know the order's contract.
    """

    id: OrderId
    contract: ContractName
    kind: OrderKind | Unknown
    uid: OrderUid | None  # the name of a ticket order; a telecom order's name is its number
    reference: str
    client_id: ClientId
    version: int
    created_at: datetime
    facts: OrderFacts

    @property
    def state(self) -> OrderState | Unknown:
        """The order's state."""
        return self.facts.state

    @property
    def is_known(self) -> bool:
        """Whether this node knows the order's contract and state. A node decides over no other orders."""
        return not isinstance(self.kind, Unknown) and not isinstance(self.state, Unknown)


def order_id_from(digits: str) -> OrderId | None:
    """Return the number that some digits write, or None if no order can have it."""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(LARGEST_ORDER_ID))):
        return None
    number = int(digits)
    return OrderId(number) if 0 < number <= LARGEST_ORDER_ID else None


def order_id_of(uid: str) -> OrderId:
    """Return the number of the order with this uid: the first 62 bits of its SHA-256, with the 63rd set.

    A uid thus leads to its row through the primary key, without a second index. The set bit keeps these numbers apart
    from the small ones of telecom orders, which count up. If two uids ever share a number, the second order's creation
    fails on the key; a repeat makes another uid.
    """
    return OrderId(int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8]) >> 2 | _FIRST_OF_UIDS)


def may_have_uid(order_id: OrderId) -> bool:
    """Return whether `order_id_of` can have made this number, as it makes the number of every ticket order."""
    return order_id >= _FIRST_OF_UIDS
