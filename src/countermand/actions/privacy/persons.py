"""Exports and forgets persons. The work is done in many short steps, so that no request waits for it.

A repeat finds what is left and forgets that, so a request that was cut off is simply made again.
"""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from countermand.actions.ports import Clock
from countermand.actions.privacy.ports import OrderAhead, PersonalTexts, Place, RequestKind, StoredText
from countermand.domain.client import ClientId
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_state import ENDED_UNFULFILLED, OrderState
from countermand.domain.privacy import Person

_FULFILLED: Final = frozenset({OrderState.ACTIVATED, OrderState.COMPLETED})
_OPEN: Final = "the order is open"
_AHEAD: Final = "its event or appointment is still to come"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A stored text about the person, and the order that it belongs to."""

    stored: StoredText
    order: Order | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOrder:
    """An order that still needs the person, so that nothing of it was forgotten."""

    order: Order
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgotten:
    """What was, or would be, forgotten: texts by place, and the orders that were left."""

    request_id: str | None  # None for a dry run, which is not recorded
    counts: Mapping[Place, int]
    left: Sequence[LeftOrder]


async def export_person(
    texts: PersonalTexts, clock: Clock, person: Person, *, client_id: ClientId | None
) -> Sequence[Entry]:
    """Return everything that is stored about a person, by place. The export is recorded, without the address."""
    request_id = secrets.token_hex(16)
    await texts.begin_request(request_id, RequestKind.EXPORT, person, client_id, clock())
    found = [one async for one in _found(texts, person)]
    orders = await texts.orders_ahead(_orders_of(found))
    entries = []
    for stored in found:
        ahead = None if stored.order_id is None else orders.get(stored.order_id)
        entries.append(Entry(stored=stored, order=None if ahead is None else ahead.order))
    counts = Counter(one.place.value for one in found)
    await texts.finish_request(request_id, counts, clock())
    return entries


async def forget_person(
    texts: PersonalTexts,
    clock: Clock,
    person: Person,
    *,
    client_id: ClientId | None,
    dry_run: bool,
    even_open: bool,
) -> Forgotten:
    """Replace what is stored about a person. Orders that are open or before their event stay, unless `even_open`."""
    now = clock()
    found = [one async for one in _found(texts, person)]
    orders = await texts.orders_ahead(_orders_of(found))
    left = {} if even_open else _left(orders, now)
    to_change = [one for one in found if one.order_id not in left]
    if dry_run:
        counts = Counter(one.place for one in to_change)
        return Forgotten(request_id=None, counts=counts, left=tuple(left.values()))
    request_id = secrets.token_hex(16)
    await texts.begin_request(request_id, RequestKind.FORGET, person, client_id, now)
    counts = Counter()
    for one in to_change:
        if await texts.forget(one.place, one.key, person):
            counts[one.place] += 1
    totals = {place.value: number for place, number in counts.items()} | {"left_orders": len(left)}
    await texts.finish_request(request_id, totals, clock())
    return Forgotten(request_id=request_id, counts=counts, left=tuple(left.values()))


async def _found(texts: PersonalTexts, person: Person) -> AsyncIterator[StoredText]:
    """Yield every stored text that mentions the person."""
    for place in Place:
        after = None
        while True:
            step = await texts.scan(place, person, after)
            for one in step.texts:
                yield one
            if step.last is None:
                break
            after = step.last


def _orders_of(found: Sequence[StoredText]) -> Sequence[OrderId]:
    return sorted({one.order_id for one in found if one.order_id is not None})


def _left(orders: Mapping[OrderId, OrderAhead], now: datetime) -> Mapping[OrderId, LeftOrder]:
    found = {order_id: _why_left(ahead, now) for order_id, ahead in orders.items()}
    return {order_id: LeftOrder(order=orders[order_id].order, why=why) for order_id, why in found.items() if why}


def _why_left(ahead: OrderAhead, now: datetime) -> str | None:
    """Return why an order still needs its person, or None. A state that this version does not know counts as open."""
    state, visit = ahead.order.state, ahead.order.facts.appointment_starts_at
    if state in ENDED_UNFULFILLED:
        return None
    if state not in _FULFILLED:
        return _OPEN
    if any(instant is not None and instant > now for instant in (visit, ahead.event_ends_at)):
        return _AHEAD
    return None
