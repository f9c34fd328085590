"""Exports and forgets persons. The work is done in many short steps, so that no request waits for it.

A step holds a limited number of texts. A repeat finds what is left and forgets that, so a request that was cut off is
simply made again.
"""

import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from countermand.actions.ports import Clock
from countermand.actions.privacy.ports import OrderAhead, PersonalTexts, Place, RequestKind, StoredText
from countermand.domain.actor import Actor
from countermand.domain.orders.order import Order, OrderId
from countermand.domain.orders.order_state import ENDED_UNFULFILLED, OrderState
from countermand.domain.privacy import Person

_FULFILLED: Final = frozenset({OrderState.ACTIVATED, OrderState.COMPLETED})
_OPEN: Final = "the order is open"
_AHEAD: Final = "its event or appointment is still to come"
PASSES: Final = 5
MOST_LEFT: Final = 1000  # orders that an answer names
MOST_NEEDED: Final = 50_000  # names that are kept in memory


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
    """What was, or would be, forgotten, and what was left: texts by place, and the first of the orders.

    `is_finished` is False if even the last pass found something to forget.
    """

    request_id: str | None  # None for a dry run, which is not recorded
    counts: Mapping[Place, int]
    left: Sequence[LeftOrder]
    left_counts: Mapping[Place, int]
    is_finished: bool


@dataclass(kw_only=True, slots=True)
class _Left:
    """What a pass leaves: orders, and the stored consumers and answers that these orders need."""

    orders: dict[OrderId, LeftOrder] = field(default_factory=dict)
    counts: Counter[Place] = field(default_factory=Counter)
    _needed: set[str] = field(default_factory=set)

    def needs(self, text: StoredText) -> bool:
        """Return whether an order that is left may need the text. If there are too many orders to say, it may."""
        return len(self._needed) > MOST_NEEDED or not self._needed.isdisjoint(text.names)

    def leave(self, text: StoredText, order: Order, why: str) -> None:
        """Leave a text of an order. Consumers that the text names, and answers that name the order, stay with it."""
        if len(self.orders) < MOST_LEFT:
            self.orders[order.id] = LeftOrder(order=order, why=why)
        if len(self._needed) <= MOST_NEEDED:
            name = str(order.uid or order.id)
            self._needed |= {name, f"{order.contract}-{name}"}
            self._needed |= {str(part["uid"]) for part in text.parts if "uid" in part}


async def export_person(texts: PersonalTexts, clock: Clock, person: Person, actor: Actor) -> AsyncGenerator[Entry]:
    """Yield everything that is stored about a person, by place. The export is recorded, without the address."""
    request_id = secrets.token_hex(16)
    await texts.begin_request(request_id, RequestKind.EXPORT, person, actor, clock())
    counts: Counter[str] = Counter()
    async for step in _steps(texts, person):
        orders = await texts.orders_ahead(_orders_of(step))
        for stored in step:
            ahead = None if stored.order_id is None else orders.get(stored.order_id)
            yield Entry(stored=stored, order=None if ahead is None else ahead.order)
            counts[stored.place.value] += 1
    await texts.count_request(request_id, counts, clock())


async def forget_person(
    texts: PersonalTexts, clock: Clock, person: Person, actor: Actor, *, dry_run: bool, even_open: bool
) -> Forgotten:
    """Replace what is stored about a person. Orders that are open or before their event stay, unless `even_open`.

    What such an order needs stays with it: the stored consumers that it names, and the stored answers that name it. A
    text that is stored meanwhile is found by another pass; a pass that changes nothing is the last.
    """
    if dry_run:
        counts, left = await _pass(texts, person, clock(), dry_run=True, even_open=even_open)
        return _forgotten(None, counts, left, is_finished=True)
    request_id = secrets.token_hex(16)
    await texts.begin_request(request_id, RequestKind.FORGET, person, actor, clock())
    total, counts, left = Counter[Place](), Counter[Place](), _Left()
    for _ in range(PASSES):
        counts, left = await _pass(texts, person, clock(), dry_run=False, even_open=even_open)
        total += counts
        if not counts:
            break
    forgotten = _forgotten(request_id, total, left, is_finished=not counts)
    totals = {place.value: number for place, number in total.items()}
    totals |= {f"left_{place.value}": number for place, number in left.counts.items()}
    await texts.count_request(request_id, totals, clock() if forgotten.is_finished else None)
    await texts.empty_log()
    return forgotten


def _forgotten(request_id: str | None, counts: Mapping[Place, int], left: _Left, *, is_finished: bool) -> Forgotten:
    return Forgotten(
        request_id=request_id,
        counts=counts,
        left=tuple(left.orders.values()),
        left_counts=left.counts,
        is_finished=is_finished,
    )


async def _pass(
    texts: PersonalTexts, person: Person, now: datetime, *, dry_run: bool, even_open: bool
) -> tuple[Counter[Place], _Left]:
    """Look at every text once. Return how many were (or would be) forgotten, by place, and what was left."""
    counts: Counter[Place] = Counter()
    left = _Left()
    async for step in _steps(texts, person):
        orders = {} if even_open else await texts.orders_ahead(_orders_of(step))
        for one in step:
            ahead = None if one.order_id is None else orders.get(one.order_id)
            if ahead is not None and (why := _why_left(ahead, now)) is not None:
                left.leave(one, ahead.order, why)
                left.counts[one.place] += 1
            elif one.order_id is None and left.needs(one):
                left.counts[one.place] += 1
            elif dry_run or await texts.forget(one.place, one.key, person):
                counts[one.place] += 1
    return counts, left


async def _steps(texts: PersonalTexts, person: Person) -> AsyncIterator[Sequence[StoredText]]:
    """Yield every stored text that mentions the person, in steps."""
    for place in Place:
        after = None
        while True:
            step = await texts.scan(place, person, after)
            if step.texts:
                yield step.texts
            if step.last is None:
                break
            after = step.last


def _orders_of(found: Sequence[StoredText]) -> Sequence[OrderId]:
    return sorted({one.order_id for one in found if one.order_id is not None})


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
