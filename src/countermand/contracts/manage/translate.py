"""How do orders, decisions and errors look in the operator's API?"""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from countermand.actions.appointments.ports import OpenSlot
from countermand.actions.cancelling.decide_again import KnownPolicies
from countermand.actions.cancelling.explain import Explanation
from countermand.actions.cancelling.override import OverrideDiffers
from countermand.actions.cancelling.ports import OVERRIDE_DIFFERS
from countermand.actions.errors import (
    ConflictError,
    CursorGoneError,
    FieldsError,
    HeldError,
    IdempotencyKeyReusedError,
    KeySetUnavailableError,
    NotAuthenticatedError,
    NotFoundError,
    UnavailableError,
)
from countermand.actions.ordering.event_feed import EVENTS_DELETED, OTHER_GENERATION
from countermand.actions.ordering.history import History
from countermand.actions.ordering.timeline import is_complete, timeline_of
from countermand.actions.ordering.views import OrderView
from countermand.contracts.http.answer import (
    BEARER,
    Answer,
    BodyTooLargeError,
    ForbiddenError,
    JsonObject,
    MalformedRequestError,
    MethodNotAllowedError,
    NoSuchPathError,
    UnsupportedMediaTypeError,
    error_headers,
    json_answer,
)
from countermand.contracts.http.error_codes import RULES, error_codes, refusals
from countermand.contracts.manage import appointment_messages, messages, money_messages
from countermand.contracts.manage.finding_sentences import sentence_for_operator
from countermand.contracts.manage.order_ids import order_id_text
from countermand.contracts.manage.timeline import findings_shown, record_shown, timeline_shown
from countermand.domain.appointments.appointment import Appointment
from countermand.domain.appointments.appointment_task import AppointmentTask
from countermand.domain.cancelling.decision import Granted, Refused
from countermand.domain.client import Client, Permission
from countermand.domain.orders.balance import Balance, balances_of
from countermand.domain.orders.order import Order
from countermand.domain.orders.order_details import TicketOrderDetails
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction

STATUS: Final[dict[type[Exception], tuple[int, str]]] = {
    MalformedRequestError: (400, "bad_request"),
    NotAuthenticatedError: (401, "unauthorized"),
    ForbiddenError: (403, "forbidden"),
    NotFoundError: (404, "not_found"),
    NoSuchPathError: (404, "not_found"),
    MethodNotAllowedError: (405, "method_not_allowed"),
    ConflictError: (409, "conflict"),
    CursorGoneError: (410, "gone"),
    BodyTooLargeError: (413, "payload_too_large"),
    UnsupportedMediaTypeError: (415, "unsupported_media_type"),
    FieldsError: (422, "invalid_field"),
    IdempotencyKeyReusedError: (422, "idempotency_key_reused"),
    UnavailableError: (503, "unavailable"),
    HeldError: (503, "unavailable"),
    KeySetUnavailableError: (503, "unavailable"),
}
UNEXPECTED: Final = (500, "unexpected")
_TOKEN_FOR: Final = (Permission.RECORD, Permission.CANCEL)
ERROR_CODES: Final = error_codes(
    STATUS,
    UNEXPECTED,
    (
        *refusals(
            409,
            *RULES,
            *("move_not_allowed", "order_paid", "payment_reference_used", "late_money"),
            *("payment_voided", "payment_paid_back", "tickets_given_on", "payment_not_late"),
            *("refund_exceeds_paid", "refund_reference_used", "refund_came_back"),
            *("chargeback_exceeds_paid", "chargeback_reference_used"),
            *("has_appointment", "appointment_over", "order_ended", "already_answered"),
            *("slot_booked", "more_held", "seats_held"),
            *("client_exists", "client_revoked", "client_without_secret", "key_exists"),
            *("secret_overlap", "no_secret_overlap"),
            *("staff_exists", "staff_disabled", "overlap_running"),
            *("override_differs", "policy_differs", "past_unknown", "export_too_large"),
            *("cancellation_undone", "order_not_cancelled", "clients_cancellation", "undo_window_over"),
            *("money_moved", "not_restorable", "visit_elsewhere", "slot_over", "slot_gone", "slot_taken"),
            *("voucher_used_up", "insufficient_products", "seat_gone"),
            *("approval_needs_person", "approval_same_person", "approval_not_independent", "approval_of_another"),
            *("approval_expired", "approval_used", "approval_differs"),
        ),
        *refusals(410, OTHER_GENERATION, EVENTS_DELETED),
    ),
)


def problem(
    status: int,
    code: str,
    detail: str,
    errors: list[messages.Wrong] | None = None,
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    following: str | None = None,
) -> Answer:
    """Return problem details (RFC 9457)."""
    shown = messages.Problem(
        title=HTTPStatus(status).phrase, status=status, code=code, detail=detail, errors=errors or [], next=following
    )
    return json_answer(status, shown, headers=headers, media_type=messages.PROBLEM_JSON)


def problem_answer(error: Exception) -> Answer:
    """Return an error as an answer. An error that is not in the table is unexpected: its answer has no details."""
    status, code = STATUS.get(type(error), UNEXPECTED)
    detail, wrong, following = str(error), [], None
    match error:
        case ConflictError(code=own_code):
            code = own_code
        case CursorGoneError(code=own_code, go_on=go_on):
            code, following = own_code, go_on
        case FieldsError(errors=fields):
            wrong = [messages.Wrong(code=code, field=field, message=said) for field, said in fields]
        case _ if (status, code) == UNEXPECTED:
            detail = "There was an unexpected error; the outcome of the request is unknown; send it again to find out"
    return problem(status, code, detail, wrong, headers=error_headers(error, scheme=BEARER), following=following)


def refusal_answer(refused: Refused) -> Answer:
    """Return every rule that refused."""
    wrong = [messages.Wrong(code=one.code, field=None, message=sentence_for_operator(one)) for one in refused.broken]
    return problem(409, refused.broken[0].code, "; ".join(one.message for one in wrong), wrong)


def override_differs_answer(differs: OverrideDiffers) -> Answer:
    """Return the rules that refused, and the codes that the request names without need."""
    findings = () if isinstance(differs.decision, Granted) else differs.decision.broken
    wrong = [messages.Wrong(code=one.code, field=None, message=sentence_for_operator(one)) for one in findings]
    for code in differs.named:
        if code not in differs.broken:
            said = f"override names {code}, but no rule with this code refuses"
            wrong.append(messages.Wrong(code=OVERRIDE_DIFFERS, field="override", message=said))
    return problem(409, OVERRIDE_DIFFERS, differs.sentence, wrong)


def order_shown(
    view: OrderView, history: History, policies: KnownPolicies, client: Client | None, *, refusals_since: datetime
) -> messages.Order:
    """Return an order with its history, as this client may see it; None is the command line, which sees all.

    Only a client that may record or cancel sees the order's token, which is a credential of the buyer. `policies` has
    the policies of the decision records, where they are known. Refusals from before `refusals_since` may be deleted.
    """
    details, sees_token = view.details, client is None or any(map(client.may, _TOKEN_FOR))
    token = details.order_token or None if isinstance(details, TicketOrderDetails) and sees_token else None
    order, cancellation = view.order, history.cancellation
    return messages.Order(
        id=order_id_text(order),
        uid=order.uid,
        contract=order.contract,
        reference=order.reference,
        client_id=order.client_id,
        state=order.state.value,
        version=order.version,
        created_at=order.created_at,
        appointment_starts_at=order.facts.appointment_starts_at,
        first_payment_at=order.facts.first_payment_at,
        unrefunded_payment_at=order.facts.unrefunded_payment_at,
        appointments=[appointment_shown(one) for one in view.appointments],
        tickets=[messages.Ticket(uid=t.uid, product_uid=t.product_uid, valid=view.admits(t)) for t in view.tickets],
        order_token=token,
        payments=[payment_shown(one) for one in history.payments],
        corrections=[correction_shown(order, one) for one in history.corrections],
        money=[
            balance_shown(currency, one) for currency, one in balances_of(history.payments, history.corrections).items()
        ],
        cancellation=None if cancellation is None else record_shown(cancellation, policies),
        refusals=[record_shown(one, policies) for one in history.refusals],
        timeline=timeline_shown(timeline_of(order, history, policies), policies),
        timeline_is_complete=is_complete(view, history, refusals_since),
        facts=[
            messages.OrderEvent(
                kind=one.kind.value,
                order_version=one.order_version,
                recorded_at=one.recorded_at,
                client_id=one.actor.client_id,
                staff_id=one.actor.staff_id,
                acting_as=one.actor.acting_as,
                channel=one.actor.channel,
                address=one.actor.address,
                details=JsonObject(one.details),
                delivered_at=one.delivered_at,
            )
            for one in history.events
        ],
    )


def appointment_shown(appointment: Appointment) -> appointment_messages.Appointment:
    """Return a visit."""
    return appointment_messages.Appointment(
        id=appointment.id,
        state=appointment.state.value,
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        cancelled_at=appointment.cancelled_at,
        slot_id=None if appointment.slot is None else appointment.slot.id,
        remote_id=appointment.remote_id,
    )


def task_shown(task: AppointmentTask, order: Order) -> appointment_messages.AppointmentTask:
    """Return a client's task about an order."""
    failure, wanted = task.failure, task.wanted
    return appointment_messages.AppointmentTask(
        id=task.id,
        order_id=order_id_text(order),
        client_id=task.client_id,
        kind=task.kind.value,
        state=task.state.value,
        asked_at=task.asked_at,
        from_date=task.from_date,
        slot_id=None if wanted is None else wanted.id,
        starts_at=None if wanted is None else wanted.starts_at,
        ends_at=None if wanted is None else wanted.ends_at,
        appointment_id=task.appointment_id,
        failure=None if failure is None else appointment_messages.No(code=failure.code, message=failure.sentence),
    )


def slot_shown(one: OpenSlot) -> appointment_messages.SlotShown:
    """Return a slot of the calendar."""
    slot = one.slot
    return appointment_messages.SlotShown(
        id=slot.id,
        area=one.area,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        slot_type=slot.half_day.value,
        utc_offset_minutes=slot.utc_offset // timedelta(minutes=1),
        capacity=one.capacity,
        booked=one.booked,
    )


def payment_shown(payment: Payment) -> messages.Payment:
    """Return a payment."""
    return messages.Payment(
        reference=payment.reference,
        amount_minor=payment.money.minor,
        currency=payment.money.currency,
        recorded_at=payment.recorded_at,
        late=payment.is_late,
        voided_at=payment.voided_at,
    )


def correction_shown(order: Order, one: Correction) -> money_messages.Correction:
    """Return a void, a refund or a chargeback."""
    return money_messages.Correction(
        id=correction_id(order, one),
        kind=one.kind.value,
        reference=one.reference,
        payment_reference=one.payment_reference,
        amount_minor=one.money.minor,
        currency=one.money.currency,
        state=None if one.state is None else one.state.value,
        reason=one.reason,
        recorded_at=one.recorded_at,
        settled_at=one.settled_at,
        client_id=one.actor.client_id,
        staff_id=one.actor.staff_id,
        acting_as=one.actor.acting_as,
        address=one.actor.address,
    )


def correction_id(order: Order, one: Correction) -> str:
    """Return the id of a correction: the order's id, and the correction's number."""
    return f"{order_id_text(order)}-{one.number}"


def balance_shown(currency: str, one: Balance) -> money_messages.Balance:
    """Return the balance of an order in a currency."""
    return money_messages.Balance(
        currency=currency,
        recorded_minor=one.recorded,
        kept_minor=one.kept,
        due_minor=one.due,
        refunded_minor=one.refunded,
        charged_back_minor=one.charged_back,
        late_minor=one.late,
        voided_minor=one.voided,
    )


def decision_shown(explanation: Explanation) -> messages.Decision:
    """Return a decision with every finding."""
    decision = explanation.decision
    return messages.Decision(
        order_id=order_id_text(explanation.order),
        cancellable=isinstance(decision, Granted),
        cancellable_until=decision.cancellable_until if isinstance(decision, Granted) else None,
        at=explanation.at,
        policy_version=decision.policy_version,
        policy_source=explanation.policy_source.value,
        findings=findings_shown(decision),
    )
