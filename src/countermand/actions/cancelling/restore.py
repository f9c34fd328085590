"""Undoes a cancellation: the order has its state, tickets, seats, stock and visit again, or nothing changes.

The transaction locks the order's row first, as every change of an order does. Then it takes anew what the cancellation
gave back, and each of these can be gone. The decision record moves to those that were undone, so that the order can be
cancelled again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from countermand.actions.appointments.ports import Accepted, AppointmentWriting, BookingBackend, SlotLock
from countermand.actions.appointments.set import check_known_visit
from countermand.actions.cancelling.ports import CancellationRecord, DecisionWriting, UndoneCancellation
from countermand.actions.catalogue.ports import CatalogueReading, Stock
from countermand.actions.errors import ConflictError, UnavailableError
from countermand.actions.ordering.correct_payments import Account, PaymentWindows, account_of, restart_window
from countermand.actions.ordering.correction_ports import CorrectionWriting
from countermand.actions.ordering.lock_order import locked
from countermand.actions.ordering.ports import ExpiryWriting, OrderChange, OrderReading
from countermand.actions.ordering.views import OrderView, Ticket
from countermand.actions.ticketing.ports import TicketRestoring, VoucherUses
from countermand.actions.ticketing.seat import seat_of, take
from countermand.actions.ticketing.seat_ports import FreeSeats, SeatAssignment
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment import Appointment
from countermand.domain.contract import MANAGE
from countermand.domain.instants import written_instant
from countermand.domain.known import Unknown
from countermand.domain.orders.balance import is_refunded_in_full
from countermand.domain.orders.order import Order, OrderFacts, OrderId
from countermand.domain.orders.order_events import OrderEvent, appointment_set, order_restored
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import OrderState
from countermand.domain.orders.payment_correction import CorrectionKind, RefundState

_PLACE_A_NEW_ORDER: Final = "the order stays cancelled; place a new order"
_SAID: Final[Mapping[CorrectionKind | Unknown, str]] = {
    CorrectionKind.VOID: "a payment was voided",
    CorrectionKind.REFUND: "a refund was sent",
    CorrectionKind.CHARGEBACK: "money was charged back",
}


class RestoreTransaction(
    OrderChange,
    OrderReading,
    DecisionWriting,
    CorrectionWriting,
    ExpiryWriting,
    AppointmentWriting,
    SlotLock,
    CatalogueReading,
    Stock,
    VoucherUses,
    TicketRestoring,
    FreeSeats,
    SeatAssignment,
    Protocol,
):
    """Implemented by a transaction in which a cancellation can be undone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoTerms:
    """Says which cancellations can be undone: those of the last `window`.

    `clients_own` says whether these include what a client cancelled itself. `payable` says how long a pending order of
    each contract can be paid after it is restored. `bookings` has the slots of visits.
    """

    window: timedelta
    clients_own: bool
    payable: PaymentWindows
    bookings: BookingBackend


async def restore_order(
    tx: RestoreTransaction, actor: Actor, order_id: OrderId, reason: str, now: datetime, *, terms: UndoTerms
) -> Order:
    """Undo the cancellation of an order.

    Raises `NotFoundError`, or `ConflictError` with `order_not_cancelled`, `clients_cancellation`, `undo_window_over`,
    `money_moved`, `not_restorable`, `visit_elsewhere`, `slot_over`, `slot_gone`, `slot_taken`, `voucher_used_up`,
    `insufficient_products` or `seat_gone`.
    """
    order = await locked(tx, order_id)
    record = await _undoable(tx, order, terms, now)
    account = await account_of(tx, order_id)
    _check_money(account, record)
    view = (await tx.views([order_id]))[order_id]
    visit = await _take_visit(tx, view, record, terms.bookings, now)
    await _take_tickets(tx, view)
    for due in account.corrections:
        if due.state is RefundState.DUE:  # a cancellation wrote it; a refund that failed is owed by itself
            await tx.change_refund(order_id, replace(due, state=RefundState.WITHDRAWN, settled_at=now))
    facts = OrderFacts(
        state=record.facts.state,
        appointment_starts_at=None if visit is None else visit.starts_at,
        first_payment_at=min((one.recorded_at for one in account.in_time), default=None),
        refunded_in_full=is_refunded_in_full(account.payments, account.corrections),
    )
    if facts.state is OrderState.PENDING and facts.first_payment_at is None:
        await restart_window(tx, order, now, terms.payable)
    events: list[OrderEvent] = [order_restored(facts.state, reason)]
    if visit is not None:
        events.append(appointment_set(visit))
    changed = await tx.change_order(order, facts)
    await tx.append_events(changed, actor, events, now)
    undone = UndoneCancellation(record=record, order_version=changed.version, undone_at=now, actor=actor, reason=reason)
    await tx.undo_cancellation(undone)
    return changed


async def _undoable(tx: DecisionWriting, order: Order, terms: UndoTerms, now: datetime) -> CancellationRecord:
    """Return the record of the cancellation, if it can still be undone."""
    if order.state is not OrderState.CANCELLED:
        raise ConflictError(
            "order_not_cancelled",
            f"the order is {order.state}, so no cancellation was undone; read the order to see what became of it",
        )
    record = await tx.cancellation(order.id)
    if record is None:
        raise _not_restorable("the record of its cancellation was deleted")
    if isinstance(record.facts.state, Unknown):
        raise UnavailableError(
            "a newer version than this node's cancelled the order; nothing was done; send the request again, or to "
            "another node"
        )
    if record.actor.channel != MANAGE and not terms.clients_own:
        raise ConflictError(
            "clients_cancellation",
            f"a client cancelled the order over {record.actor.channel}, and the settings do not let the operator undo "
            f"that (undo_own_cancellations); {_PLACE_A_NEW_ORDER}",
        )
    until = record.decided_at + terms.window
    if now >= until:
        at, over = written_instant(record.decided_at), written_instant(until)
        raise ConflictError(
            "undo_window_over",
            f"the order was cancelled at {at}, and that could be undone until {over}; {_PLACE_A_NEW_ORDER}",
        )
    return record


def _check_money(account: Account, record: CancellationRecord) -> None:
    """Raise `ConflictError` with `money_moved` if money came or went since the cancellation."""
    since = [
        f"{_SAID[one.kind]} ({one.reference or one.payment_reference})"
        for one in account.corrections
        if not one.was_owed and (one.settled_at or one.recorded_at) >= record.decided_at
    ]
    since += [f"late money came ({one.reference})" for one in account.payments if one.is_late and not one.voided_at]
    if record.facts.first_payment_at is not None and not account.in_time and not since:
        since = ["the payment was voided"]
    if since:
        raise ConflictError("money_moved", f"since the cancellation {', '.join(since)}; {_PLACE_A_NEW_ORDER}")


async def _take_visit(
    tx: RestoreTransaction, view: OrderView, record: CancellationRecord, bookings: BookingBackend, now: datetime
) -> Appointment | None:
    """Agree again the visit that the cancellation called off, and return it; None if there was none."""
    if record.facts.appointment_starts_at is None:
        return None
    called_off = [
        one for one in view.appointments if one.cancelled_at == record.decided_at and one.cancelled_from is not None
    ]
    if not called_off:
        raise _not_restorable("an older version of this service called its visit off")
    (visit,) = called_off
    assert visit.cancelled_from is not None, "selected"
    agreed = replace(visit, state=visit.cancelled_from, cancelled_at=None, cancelled_from=None)
    check_known_visit(agreed)
    booked = await bookings.book(tx, visit.slot) if visit.slot is not None else Accepted()
    if visit.remote_id is not None or booked is None:
        raise ConflictError(
            "visit_elsewhere",
            f"the operator's own system books its visit {visit.id}, and was told that the visit is off; "
            f"{_PLACE_A_NEW_ORDER}",
        )
    if not isinstance(booked, Accepted):
        raise ConflictError(booked.code, f"{booked.sentence}; {_PLACE_A_NEW_ORDER}")
    if visit.slot is not None and visit.starts_at <= now:
        raise ConflictError("slot_over", f"the slot {visit.slot.id} of its visit has begun; {_PLACE_A_NEW_ORDER}")
    await tx.change_appointment(view.order.id, agreed)
    return agreed


async def _take_tickets(tx: RestoreTransaction, view: OrderView) -> None:
    """Take the places, seats and voucher uses of the tickets anew that the cancellation made invalid."""
    if view.order.kind is not OrderKind.TICKET or not view.tickets:
        return
    released = set(await tx.released_tickets(view.order.id))
    tickets = [one for one in view.tickets if one.uid in released]
    if not tickets:
        raise _not_restorable(
            "no ticket is left that the cancellation ended: all were given on, or an older version of this service "
            "cancelled the order"
        )
    # Every transaction locks vouchers first, and products last, so that no two wait for each other.
    if codes := view.ticket_details.vouchers or ():
        await tx.lock_vouchers(codes)
        await _check_vouchers(tx, codes)
    reserved = await tx.reserve(Counter(one.product_uid for one in tickets))
    if reserved.short:
        short = ", ".join(reserved.short)
        raise ConflictError(
            "insufficient_products", f"too few places are left of product {short}; {_PLACE_A_NEW_ORDER}"
        )
    await _take_seats(tx, view, [one for one in tickets if one.product_uid in reserved.seated])
    await tx.restore_tickets(view.order.id)


async def _check_vouchers(tx: RestoreTransaction, codes: Sequence[str]) -> None:
    known = await tx.vouchers(codes)
    for code in codes:
        cap = known[code].uses_cap if code in known else None
        if cap is not None and await tx.voucher_uses(code) >= cap:
            raise ConflictError("voucher_used_up", f"another order uses the voucher {code}; {_PLACE_A_NEW_ORDER}")


async def _take_seats(tx: RestoreTransaction, view: OrderView, tickets: Sequence[Ticket]) -> None:
    """Give tickets the seats again that they had. The products' rows are locked."""
    if not tickets:
        return
    free = await tx.free_seats(sorted({one.product_uid for one in tickets}))
    seats, gone = {}, []
    for one in tickets:
        seat = seat_of(view, one)
        if seat is not None and any(block.has(seat) for block in free.get(one.product_uid, ())):
            seats[one.uid] = seat
        else:
            gone.append("a seat" if seat is None else f"{seat.section} {seat.row} {seat.number}")
    if gone:
        raise ConflictError("seat_gone", f"these seats are no longer free: {', '.join(gone)}; {_PLACE_A_NEW_ORDER}")
    await take(tx, view.order.id, view.tickets, seats)


def _not_restorable(why: str) -> ConflictError:
    return ConflictError("not_restorable", f"{why}; {_PLACE_A_NEW_ORDER}")
