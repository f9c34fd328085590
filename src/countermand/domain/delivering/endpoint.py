"""Who hears of events? An endpoint is the address of a receiver, with the events that the receiver wants."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.orders.order_events import OrderEventKind

# The number of an endpoint in the database; and its id, as callers see it.
EndpointNumber = NewType("EndpointNumber", int)
EndpointId = NewType("EndpointId", str)

ENDPOINT_ID_PATTERN: Final = "ep_[0-9a-f]{16}"
STANDARD: Final = "standard"  # the dialect of an endpoint that names none
LARGEST_OVERLAP_D: Final = 7
USUAL_OVERLAP_H: Final = 24
PROBED_FROM: Final = 5  # failures in a row, each of another order than the one before


class EndpointState(StrEnum):
    """Whether an endpoint gets events."""

    ACTIVE = "active"
    PAUSED = "paused"  # every event is kept until the endpoint is resumed


class EndpointEventKind(StrEnum):
    """The names of the events about endpoints, which have no order."""

    FAILING = "endpoint.failing"
    PAUSED = "endpoint.paused"
    RESUMED = "endpoint.resumed"
    TEST = "endpoint.test"  # only ever sent to the endpoint that is tested, and not in the feed


# All kinds that an endpoint may name.
SUBSCRIBABLE_KINDS: Final = (
    *(kind.value for kind in OrderEventKind),
    EndpointEventKind.FAILING.value,
    EndpointEventKind.PAUSED.value,
    EndpointEventKind.RESUMED.value,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """Which events an endpoint gets, and in which form. None means all that the dialect can say.

    `thin` events have a link to the order instead of the order. `structured` is a form of CloudEvents. `asymmetric`
    endpoints get a signature with ed25519 beside the usual one.
    """

    dialect: str = STANDARD
    kinds: frozenset[str] | None = None
    contract: ContractName | None = None
    client_id: ClientId | None = None  # the client whose orders these are
    thin: bool = False
    structured: bool = False
    asymmetric: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How the last attempts at an endpoint went.

    `failures` are those since the last success. `failing_orders` counts those of another order than the failure before.
    `not_before` is when the next attempt may begin, while the endpoint is only probed or asked for time.
    """

    failures: int = 0
    failing_orders: int = 0
    last_failed_order: int | None = None
    first_failure_at: datetime | None = None
    last_success_at: datetime | None = None
    not_before: datetime | None = None
    failing_since: datetime | None = None  # since when it counts as failing, which an event told

    @property
    def is_probed(self) -> bool:
        """Whether one event at a time is tried: several orders failed in a row, so the endpoint itself seems down."""
        return self.failing_orders >= PROBED_FROM


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """An endpoint. `owner` is the partner that added it over its own credential, or None if the operator did.

    `is_permitted` says whether the owner may still subscribe: if not, nothing is sent, and everything is kept.

    `secret` and the others are encrypted (`delivery/secret_box.py`), and never leave the service.
    """

    number: EndpointNumber
    id: EndpointId
    url: str
    subscription: Subscription
    owner: ClientId | None
    created_at: datetime
    state: EndpointState
    health: Health
    secret: bytes
    previous_secret: bytes | None = None
    previous_secret_until: datetime | None = None
    signing_key: bytes | None = None  # of ed25519
    paused_at: datetime | None = None
    paused_because: str | None = None
    removed_at: datetime | None = None
    is_permitted: bool = True
