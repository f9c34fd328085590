"""A new order, with everything that is written together with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from countermand.actions.ordering.views import OrderView
from countermand.domain.actor import Actor
from countermand.domain.orders.order_events import OrderEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class NewOrder:
    """An order, and its events of the instant `now`, which `actor` caused.

    The order expires at `expires_at`, uses the `vouchers` with these codes, which are locked, and takes so many
    `places` of products off the stock, by the product's uid.
    """

    view: OrderView
    actor: Actor
    events: Sequence[OrderEvent]
    now: datetime
    expires_at: datetime | None = None
    vouchers: Sequence[str] = ()
    places: Mapping[str, int] = field(default_factory=dict)
