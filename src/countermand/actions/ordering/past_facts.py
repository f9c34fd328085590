"""Finds the facts of an order at a past instant: goes through its events, forward from its first and back from now.

Retention deletes delivered events. Facts count as known only where no change can be missing: the versions of an order
have no gap, and each event continues where the event before it ended. So the answer is right, or there is none.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from countermand.actions.ordering.history import History, OutboxRecord
from countermand.actions.ordering.views import OrderView
from countermand.domain.appointments.appointment import ACTIVE_APPOINTMENT_STATES
from countermand.domain.known import known
from countermand.domain.orders.balance import is_refunded_in_full
from countermand.domain.orders.order import OrderFacts
from countermand.domain.orders.order_events import OrderEventKind
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import ENDED_UNFULFILLED, OrderState

_Event = OrderEventKind
_MONEY: Final = frozenset(
    {
        *(_Event.PAYMENT_RECORDED, _Event.LATE_MONEY_RECEIVED, _Event.PAYMENT_VOIDED),
        *(_Event.REFUND_DUE, _Event.REFUND_FAILED, _Event.PAYMENT_REFUNDED, _Event.PAYMENT_CHARGED_BACK),
    }
)


class _ContradictionError(Exception):
    """An event does not continue where the event before it ended, or is not known to this version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PastFacts:
    """The facts after each version of an order, as far as they are known, and the instants of the versions.

    `by_version` leaves out what became of the money: the payments and their corrections, which are never deleted, say
    that.
    """

    view: OrderView
    history: History
    by_version: Mapping[int, OrderFacts]
    since: Mapping[int, datetime]
    is_complete: bool  # whether the event of every change is there

    def at(self, at: datetime) -> OrderFacts | None:
        """Return the facts at an instant after the order was placed; None if they cannot be known."""
        order = self.view.order
        lower = max(version for version, since in self.since.items() if since <= at)
        upper = min((version for version, since in self.since.items() if since > at), default=order.version + 1)
        candidates = [self.by_version.get(version) for version in range(lower, upper)]
        facts = candidates[0]
        if facts is None or any(one != facts for one in candidates):
            return None
        money = self.history
        return replace(
            facts,
            first_payment_at=self._first_payment(at),
            refunded_in_full=is_refunded_in_full(money.payments, money.corrections, at),
        )

    @property
    def known_from(self) -> datetime | None:
        """The instant from which on all facts are known; None if only the present ones are."""
        version = self.view.order.version
        while version - 1 in self.by_version:
            version -= 1
        known_since = [since for one, since in self.since.items() if one >= version and one in self.by_version]
        return min(known_since, default=None)

    def _first_payment(self, at: datetime) -> datetime | None:
        paid = [one.recorded_at for one in self.history.payments if not one.is_late and one.stood_at(at)]
        if paid:
            return min(paid)
        first = self.view.order.facts.first_payment_at
        return first if first is not None and first <= at else None


def past_facts(view: OrderView, history: History) -> PastFacts:
    """Find the facts after each version of the order."""
    events: dict[int, list[OutboxRecord]] = defaultdict(list)
    since, latest = {1: view.order.created_at}, view.order.created_at
    for event in history.events:  # in the order of their versions
        events[event.order_version].append(event)
        # The clocks of two nodes differ: a later version may have the earlier instant.
        latest = since[event.order_version] = max(latest, event.recorded_at)
    forward = _forward(view, history, events)
    return PastFacts(
        view=view,
        history=history,
        by_version={**_backward(view, history, events), **forward},
        since=since,
        is_complete=len(forward) == view.order.version,
    )


def _forward(view: OrderView, history: History, events: Mapping[int, Sequence[OutboxRecord]]) -> dict[int, OrderFacts]:
    """Return the facts after the first versions, up to the first gap, or of all versions.

    A version without an event is a gap. Only a transfer of tickets raises the version without an event: if the state
    of a ticket order fits on both sides, it was the same in between. That does not hold after the void of a payment or
    the undoing of a cancellation, because only these let such an order return to a state.
    """
    order = view.order
    has_void = any(one.voided_at is not None for one in history.payments)
    returns = has_void or bool(history.undone)
    may_be_transfers = order.kind is OrderKind.TICKET and not view.appointments and not returns
    found: dict[int, OrderFacts] = {}
    facts: OrderFacts | None = None
    first_gap = order.version + 1
    try:
        for version in range(1, order.version + 1):
            if not events.get(version):
                first_gap = min(first_gap, version)
                if facts is None or not may_be_transfers:
                    break
            for event in events.get(version, ()):
                facts = _after(facts, event)
            assert facts is not None, "the first version has an event"
            found[version] = facts
    except (_ContradictionError, KeyError, TypeError, ValueError):
        return {} if first_gap > order.version else _up_to(found, first_gap)
    if found.get(order.version) == _without_payment(order.facts):
        return found
    return {} if first_gap > order.version else _up_to(found, first_gap)


def _up_to(found: Mapping[int, OrderFacts], gap: int) -> dict[int, OrderFacts]:
    return {version: facts for version, facts in found.items() if version < gap}


def _backward(view: OrderView, history: History, events: Mapping[int, Sequence[OutboxRecord]]) -> dict[int, OrderFacts]:
    """Return the facts after the last versions, back to the last gap."""
    facts, version = _without_payment(view.order.facts), view.order.version
    found = {version: facts}
    try:
        while version > 1 and events.get(version):
            facts = _before(facts, events[version], view, history)
            version -= 1
            found[version] = facts
    except (_ContradictionError, KeyError, TypeError, ValueError):
        pass
    return found


def _after(facts: OrderFacts | None, event: OutboxRecord) -> OrderFacts:
    """Return the facts after an event. Raises `_ContradictionError` if it does not fit them."""
    details, kind = event.details, event.kind
    if kind is _Event.ORDER_PLACED:
        _check(facts is None)
        return OrderFacts(state=known(OrderState, str(details["state"])))
    _check(facts is not None)
    assert facts is not None, "checked"
    match kind:
        case _Event.ORDER_ADVANCED | _Event.ORDER_RESTORED:
            _check(facts.state == details["from"])
            return replace(facts, state=known(OrderState, str(details["to"])))
        case _Event.ORDER_CANCELLED | _Event.ORDER_EXPIRED:  # the visit's own event of this version comes after it
            _check(facts.state == details["from"])
            ended = OrderState.EXPIRED if kind is _Event.ORDER_EXPIRED else OrderState.CANCELLED
            return replace(facts, state=ended)
        case _Event.APPOINTMENT_SET:
            _check(facts.appointment_starts_at is None)
            return replace(facts, appointment_starts_at=_instant(details["starts_at"]))
        case _Event.APPOINTMENT_MOVED:
            _check(facts.appointment_starts_at == _instant(details["from"]))
            return replace(facts, appointment_starts_at=_instant(details["starts_at"]))
        case _Event.APPOINTMENT_ADVANCED:
            _check(facts.appointment_starts_at == _instant(details["starts_at"]))
            return facts if details["to"] in ACTIVE_APPOINTMENT_STATES else replace(facts, appointment_starts_at=None)
        case _Event.APPOINTMENT_CANCELLED:
            _check(facts.appointment_starts_at == _instant(details["starts_at"]))
            return replace(facts, appointment_starts_at=None)
    _check(kind in _MONEY)
    return facts


def _before(facts: OrderFacts, events: Sequence[OutboxRecord], view: OrderView, history: History) -> OrderFacts:
    """Return the facts before the events of one version. Raises `_ContradictionError` if they do not fit."""
    kinds = {event.kind for event in events}
    cancelled_at = {event.recorded_at for event in events if event.kind is _Event.ORDER_CANCELLED}
    if records := [one for one in history.cancellations if one.decided_at in cancelled_at]:
        _check(facts == OrderFacts(state=OrderState.CANCELLED))
        return _without_payment(records[-1].facts)
    for event in events:
        details = event.details
        match event.kind:
            case _Event.ORDER_ADVANCED:
                _check(facts.state == details["to"])
                _check(details["to"] not in ENDED_UNFULFILLED or _tells_of_visit(event, kinds, view))
                facts = replace(facts, state=known(OrderState, str(details["from"])))
            case _Event.ORDER_EXPIRED:
                _check(facts.state is OrderState.EXPIRED and _tells_of_visit(event, kinds, view))
                facts = replace(facts, state=known(OrderState, str(details["from"])))
            case _Event.ORDER_RESTORED:
                _check(facts.state == details["to"])
                facts = replace(facts, state=OrderState.CANCELLED)
            case _Event.APPOINTMENT_SET:
                _check(facts.appointment_starts_at == _instant(details["starts_at"]))
                facts = replace(facts, appointment_starts_at=None)
            case _Event.APPOINTMENT_MOVED:
                _check(facts.appointment_starts_at == _instant(details["starts_at"]))
                facts = replace(facts, appointment_starts_at=_instant(details["from"]))
            case _Event.APPOINTMENT_ADVANCED:
                starts_at = _instant(details["starts_at"])
                stands = details["to"] in ACTIVE_APPOINTMENT_STATES
                _check(facts.appointment_starts_at == (starts_at if stands else None))
                facts = replace(facts, appointment_starts_at=starts_at)
            case _Event.APPOINTMENT_CANCELLED:
                _check(facts.appointment_starts_at is None)
                facts = replace(facts, appointment_starts_at=_instant(details["starts_at"]))
            case kind:
                _check(kind in _MONEY)
    return facts


def _tells_of_visit(ended: OutboxRecord, kinds: Collection[object], view: OrderView) -> bool:
    """Return whether the event of the visit that the end of the order cancelled is there, if there was such a visit."""
    released = any(visit.cancelled_at == ended.recorded_at for visit in view.appointments)
    return not released or _Event.APPOINTMENT_CANCELLED in kinds


def _without_payment(facts: OrderFacts) -> OrderFacts:
    return replace(facts, first_payment_at=None, refunded_in_full=False)


def _instant(written: object) -> datetime:
    instant = datetime.fromisoformat(str(written))
    if instant.tzinfo is None:
        raise ValueError(f"{written} is no instant")
    return instant


def _check(holds: bool) -> None:  # noqa: FBT001 - a check takes a condition
    if not holds:
        raise _ContradictionError
