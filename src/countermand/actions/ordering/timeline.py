"""Puts everything that happened to an order into one list, oldest first: its events, and every ask to cancel it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from countermand.actions.cancelling.decide_again import KnownPolicies, decided_again
from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord
from countermand.actions.ordering.history import REFUSALS_SHOWN, History, OutboxRecord
from countermand.actions.ordering.past_facts import past_facts
from countermand.actions.ordering.views import OrderView
from countermand.domain.actor import Actor
from countermand.domain.cancelling.decision import Decision
from countermand.domain.known import Unknown
from countermand.domain.money import Money
from countermand.domain.orders.order import Order
from countermand.domain.orders.order_events import (
    OrderEvent,
    OrderEventKind,
    order_cancelled,
    order_restored,
    payment_charged_back,
    payment_recorded,
    payment_refunded,
    payment_voided,
    place_in_version,
    refund_failed,
)
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment_correction import Correction, CorrectionKind

_LAST: Final = 2**63  # a version behind every version of an order


class EntryKind(StrEnum):
    """What an entry of the timeline is about."""

    PLACED = "placed"
    ASK = "ask"  # somebody asked to cancel the order
    PAYMENT = "payment"
    CHANGED = "changed"  # the order's state changed
    APPOINTMENT = "appointment"


_KINDS: Final[Mapping[OrderEventKind | Unknown, EntryKind]] = {
    OrderEventKind.ORDER_ADVANCED: EntryKind.CHANGED,
    OrderEventKind.ORDER_EXPIRED: EntryKind.CHANGED,
    OrderEventKind.ORDER_CANCELLED: EntryKind.CHANGED,
    OrderEventKind.ORDER_RESTORED: EntryKind.CHANGED,
    OrderEventKind.ORDER_PLACED: EntryKind.PLACED,
    OrderEventKind.PAYMENT_RECORDED: EntryKind.PAYMENT,
    OrderEventKind.LATE_MONEY_RECEIVED: EntryKind.PAYMENT,
    OrderEventKind.PAYMENT_VOIDED: EntryKind.PAYMENT,
    OrderEventKind.REFUND_DUE: EntryKind.PAYMENT,
    OrderEventKind.REFUND_FAILED: EntryKind.PAYMENT,
    OrderEventKind.PAYMENT_REFUNDED: EntryKind.PAYMENT,
    OrderEventKind.PAYMENT_CHARGED_BACK: EntryKind.PAYMENT,
    OrderEventKind.APPOINTMENT_SET: EntryKind.APPOINTMENT,
    OrderEventKind.APPOINTMENT_MOVED: EntryKind.APPOINTMENT,
    OrderEventKind.APPOINTMENT_ADVANCED: EntryKind.APPOINTMENT,
    OrderEventKind.APPOINTMENT_CANCELLED: EntryKind.APPOINTMENT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedActor:
    """Who did something, and the client's name, if it is known."""

    actor: Actor
    client_name: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineEntry:
    """Something that happened to the order: an event, or an ask with its record and, if it can be known, its decision.

    `who` is None if the service did it by itself, and if nobody knows any more who did it. `order_version` is None for
    an ask, and for an event that retention deleted and that another row still tells of.
    """

    at: datetime
    kind: EntryKind
    who: NamedActor | None
    event: OrderEventKind | Unknown | None = None
    order_version: int | None = None
    details: Mapping[str, object] | None = None
    record: CancellationRecord | RefusalRecord | None = None
    decision: Decision | None = None


_Placed = tuple[datetime, int, TimelineEntry]  # an entry, with the instant and the order's version that give its place


def timeline_of(order: Order, history: History, policies: KnownPolicies) -> Sequence[TimelineEntry]:
    """Return the order's timeline. `policies` has the policies of the decision records, as far as they are known.

    Events are in the order of the order's versions, which the database counts: the clocks of two nodes differ.
    """
    entries = [*_of_events(order, history), *_of_asks(history, policies), *_of_other_rows(order, history)]
    entries.sort(key=lambda one: (one[0], one[1], _place(one[2])))
    return [entry for _, _, entry in entries]


def _place(entry: TimelineEntry) -> tuple[int, str]:
    """Return the place of an entry among those of one version: an ask first, then the events in their stated order."""
    return (-1, "") if entry.event is None else place_in_version(entry.event.value)


def is_complete(view: OrderView, history: History, refusals_since: datetime) -> bool:
    """Return whether the timeline has every change of the order and every refused ask.

    Refusals from before `refusals_since` may be deleted.
    """
    if view.order.created_at < refusals_since:
        return False
    return len(history.refusals) < REFUSALS_SHOWN and past_facts(view, history).is_complete


def _of_events(order: Order, history: History) -> Iterator[_Placed]:
    latest = order.created_at
    for event in history.events:
        latest = max(latest, event.recorded_at)
        entry = TimelineEntry(
            at=event.recorded_at,
            kind=_KINDS.get(event.kind, EntryKind.CHANGED),  # an unknown event is about some change
            who=None if _is_by_itself(event, order) else _named_actor(history, event.actor),
            event=event.kind,
            order_version=event.order_version,
            details=event.details,
        )
        yield latest, event.order_version, entry


def _is_by_itself(event: OutboxRecord, order: Order) -> bool:
    """Return whether the service itself let the order expire. Such an event has the id of the order's own client."""
    of_older_version = event.kind is OrderEventKind.ORDER_ADVANCED and event.details.get("to") == OrderState.EXPIRED
    expired = of_older_version or event.kind is OrderEventKind.ORDER_EXPIRED
    return expired and event.actor.client_id == order.client_id


def _of_asks(history: History, policies: KnownPolicies) -> Iterator[_Placed]:
    for refusal in history.refusals:
        yield refusal.decided_at, _LAST, _ask(history, refusal, refusal.command.actor, policies)
    versions = {one.recorded_at: one.order_version for one in history.events if _is_cancelled(one)}
    for record in history.cancellations:
        entry = _ask(history, record, record.actor, policies)
        yield record.decided_at, versions.get(record.decided_at, _LAST), entry


def _is_cancelled(event: OutboxRecord) -> bool:
    return event.kind is OrderEventKind.ORDER_CANCELLED


def _ask(
    history: History,
    record: CancellationRecord | RefusalRecord,
    actor: Actor,
    policies: KnownPolicies,
) -> TimelineEntry:
    return TimelineEntry(
        at=record.decided_at,
        kind=EntryKind.ASK,
        who=_named_actor(history, actor),
        record=record,
        decision=decided_again(record, policies),
    )


def _of_other_rows(order: Order, history: History) -> Iterator[_Placed]:
    """Yield the events that retention deleted, as far as other rows still tell of them."""
    known = {event.kind for event in history.events}
    if OrderEventKind.ORDER_PLACED not in known:
        entry = _event(EntryKind.PLACED, OrderEventKind.ORDER_PLACED, {}, order.created_at)
        yield order.created_at, 0, replace(entry, who=_named_actor(history, Actor(order.client_id)))
    told = {event.recorded_at for event in history.events if _is_cancelled(event)}
    for record in history.cancellations:
        if record.decided_at not in told:
            event = order_cancelled(record.facts.state, record.reason, record.approved_by)
            entry = _event(EntryKind.CHANGED, event.kind, event.details, record.decided_at)
            yield record.decided_at, _LAST, replace(entry, who=_named_actor(history, record.actor))
    restored = {event.order_version for event in history.events if event.kind is OrderEventKind.ORDER_RESTORED}
    for undone in history.undone:
        if undone.order_version not in restored:
            event = order_restored(undone.record.facts.state, undone.reason)
            entry = _event(EntryKind.CHANGED, event.kind, event.details, undone.undone_at)
            yield undone.undone_at, undone.order_version, replace(entry, who=_named_actor(history, undone.actor))
    yield from _of_payments(history)


def _of_payments(history: History) -> Iterator[_Placed]:
    told = {(event.kind, event.details.get("reference")) for event in history.events}
    voids = {one.payment_reference: one for one in history.corrections if one.kind is CorrectionKind.VOID}
    for payment in history.payments:
        event = payment_recorded(payment)
        if (event.kind, payment.reference) not in told:
            entry = _event(EntryKind.PAYMENT, event.kind, event.details, payment.recorded_at)
            yield payment.recorded_at, _LAST, entry
        void = voids.get(payment.reference)
        if void is not None and (OrderEventKind.PAYMENT_VOIDED, payment.reference) not in told:
            yield _of_correction(history, void, payment_voided(payment, void.reason))
    for one, event in _money_gone(history):
        if (event.kind, one.reference) not in told:
            yield _of_correction(history, one, event)


def _money_gone(history: History) -> Iterator[tuple[Correction, OrderEvent]]:
    """Yield each refund that was made, each one that failed, and each chargeback, with its event."""
    refunds = {reference: (one, money) for one, reference, money in _sums(history, CorrectionKind.REFUND)}
    for reference, (one, money) in refunds.items():
        yield one, payment_refunded(reference, money, one.reason)
    for one in history.corrections:
        if one.was_owed and one.reference in refunds:  # its own amount is what is left to pay back
            yield one, refund_failed(one.reference, refunds[one.reference][1], one.reason)
    for one, reference, money in _sums(history, CorrectionKind.CHARGEBACK):
        yield one, payment_charged_back(reference, money, one.reason)


def _sums(history: History, kind: CorrectionKind) -> Iterator[tuple[Correction, str, Money]]:
    """Yield the last correction of this kind with each reference, the reference, and the sum of all that have it.

    An older version made one refund several rows: those of the dues that it paid off, and then one of its own.
    """
    found: dict[str, list[Correction]] = {}
    for one in history.corrections:
        if one.kind is kind and one.reference is not None and not one.was_owed:
            found.setdefault(one.reference, []).append(one)
    for reference, same in found.items():
        yield same[-1], reference, replace(same[0].money, minor=sum(one.money.minor for one in same))


def _of_correction(history: History, one: Correction, event: OrderEvent) -> _Placed:
    at = one.recorded_at if one.was_owed else one.settled_at or one.recorded_at
    entry = _event(EntryKind.PAYMENT, event.kind, event.details, at)
    return at, _LAST, replace(entry, who=_named_actor(history, one.actor))


def _event(kind: EntryKind, event: OrderEventKind, details: Mapping[str, object], at: datetime) -> TimelineEntry:
    return TimelineEntry(at=at, kind=kind, who=None, event=event, details=details)


def _named_actor(history: History, actor: Actor) -> NamedActor:
    client = history.clients.get(actor.client_id)
    if client is None:
        return NamedActor(actor=actor, client_name=None)
    return NamedActor(actor=actor._replace(channel=actor.channel or client.channel), client_name=client.name)
