"""Converts the rows of the desk's lists to messages."""

from msgspec import Raw

from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord
from countermand.actions.ordering.desk_lists import ListedDecision, ListedPayment, ListedRefund, PartPaidOrder
from countermand.contracts.manage import list_messages as messages
from countermand.contracts.manage.order_ids import order_id_text
from countermand.contracts.manage.translate import correction_id
from countermand.domain.orders.event_ids import id_text


def cancellation_shown(one: ListedDecision[CancellationRecord]) -> messages.ListedCancellation:
    """Return a cancellation."""
    record, actor = one.record, one.record.actor
    return messages.ListedCancellation(
        order_id=id_text(record.contract, one.uid, record.order_id),
        contract=record.contract,
        decided_at=record.decided_at,
        client_id=actor.client_id,
        client_name=one.client_name,
        staff_id=actor.staff_id,
        acting_as=actor.acting_as,
        channel=actor.channel or "",
        state=record.facts.state.value,
        appointment_starts_at=record.facts.appointment_starts_at,
        overridden=list(record.overridden),
        approved_by=record.approved_by,
        reason=record.reason,
        policy_version=record.policy_version,
        command_id=record.command_id,
    )


def refusal_shown(one: ListedDecision[RefusalRecord]) -> messages.ListedRefusal:
    """Return a refusal."""
    record, command = one.record, one.record.command
    actor = command.actor
    return messages.ListedRefusal(
        order_id=id_text(record.contract, one.uid, command.order_id),
        contract=record.contract,
        decided_at=record.decided_at,
        codes=None if record.codes is None else list(record.codes),
        client_id=actor.client_id,
        client_name=one.client_name,
        staff_id=actor.staff_id,
        acting_as=actor.acting_as,
        channel=actor.channel or "",
        state=record.facts.state.value,
        appointment_starts_at=record.facts.appointment_starts_at,
        first_payment_at=record.facts.first_payment_at,
        reason=command.reason,
        policy_version=record.policy_version,
        command_id=command.command_id,
    )


def late_payment_shown(one: ListedPayment) -> messages.LatePayment:
    """Return late money with its order."""
    order, payment = one.order, one.payment
    return messages.LatePayment(
        order_id=order_id_text(order),
        contract=order.contract,
        order_reference=order.reference,
        order_state=order.state.value,
        client_id=order.client_id,
        reference=payment.reference,
        amount_minor=payment.money.minor,
        currency=payment.money.currency,
        recorded_at=payment.recorded_at,
        left_minor=one.left_minor,
    )


def refund_shown(one: ListedRefund) -> messages.ListedRefund:
    """Return a refund with its order."""
    order, refund = one.order, one.refund
    return messages.ListedRefund(
        id=correction_id(order, refund),
        order=order_id_text(order),
        contract=order.contract,
        order_reference=order.reference,
        amount=Raw(str(refund.money).encode()),
        currency=refund.money.currency,
        state="" if refund.state is None else refund.state.value,
        reference=refund.reference,
        reason=refund.reason,
        recorded_at=refund.recorded_at,
        settled_at=refund.settled_at,
        client_id=refund.actor.client_id,
        staff_id=refund.actor.staff_id,
        acting_as=refund.actor.acting_as,
    )


def part_payment_shown(one: PartPaidOrder) -> messages.PartPayment:
    """Return an order that is paid in part."""
    order, total = one.order, one.total
    return messages.PartPayment(
        order_id=order_id_text(order),
        contract=order.contract,
        order_reference=order.reference,
        client_id=order.client_id,
        created_at=order.created_at,
        first_payment_at=order.facts.first_payment_at,
        currency=None if total is None else total.currency,
        total_minor=None if total is None else total.minor,
        paid_minor=None if total is None else one.paid_minor,
        left_minor=None if total is None else max(0, total.minor - one.paid_minor),
    )
