"""How do orders, decisions and errors look in the connect contract? This module builds every answer of the contract."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from countermand.actions.cancelling.explain import Explanation
from countermand.actions.errors import (
    ConflictError,
    FieldsError,
    HeldError,
    IdempotencyKeyReusedError,
    KeySetUnavailableError,
    NotAuthenticatedError,
    NotFoundError,
    UnavailableError,
)
from countermand.actions.ordering.views import OrderView
from countermand.contracts.connect import messages
from countermand.contracts.http.answer import (
    BEARER,
    Answer,
    BodyTooLargeError,
    ForbiddenError,
    MalformedRequestError,
    MethodNotAllowedError,
    NoSuchPathError,
    UnsupportedMediaTypeError,
    error_headers,
    json_answer,
)
from countermand.contracts.http.error_codes import RULES, error_codes, refusals
from countermand.contracts.http.lists import list_answer
from countermand.domain.appointments.appointment import Appointment, Slot
from countermand.domain.appointments.appointment_task import AppointmentTask, Failure
from countermand.domain.cancelling.decision import Granted, Refused
from countermand.domain.known import Unknown
from countermand.domain.orders.order_details import PlanSnapshot
from countermand.domain.orders.order_state import CANCELLABLE_STATES

# On every answer (documented: every sample has them).
SIX_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-xss-protection", b"1; mode=block"),
    (b"cache-control", b"no-cache, no-store, max-age=0, must-revalidate"),
    (b"pragma", b"no-cache"),
    (b"expires", b"0"),
    (b"x-frame-options", b"DENY"),
)

# The published sample of a success: the six headers, and no body.
CANCELLED: Final = Answer(200, SIX_HEADERS)
WITHDRAWN: Final = Answer(204, SIX_HEADERS)
# There is no result yet: the client should read again in a second (the header is ours).
PENDING: Final = Answer(202, (*SIX_HEADERS, (b"retry-after", b"1")))

# Status and code of each error. Any other error is unexpected: its answer is 500, without any details.
_STATUS: Final[dict[type[Exception], tuple[int, str]]] = {
    MalformedRequestError: (400, "bad_request"),
    NotAuthenticatedError: (401, "unauthorized"),
    NotFoundError: (404, "not_found"),
    NoSuchPathError: (404, "not_found"),
    ForbiddenError: (404, "not_found"),  # documented: one row for "not authorised" and "does not exist"
    MethodNotAllowedError: (405, "method_not_allowed"),
    BodyTooLargeError: (413, "payload_too_large"),
    UnsupportedMediaTypeError: (415, "unsupported_media_type"),
    FieldsError: (422, "invalid_field"),
    ConflictError: (422, "refused"),
    IdempotencyKeyReusedError: (422, "idempotency_key_reused"),
    UnavailableError: (503, "unavailable"),
    HeldError: (503, "unavailable"),
    KeySetUnavailableError: (503, "unavailable"),
}
_NOT_FOUND: Final = "You are not authorised or the id provided does not exist"
_UNEXPECTED: Final = (500, "unexpected")
ERROR_CODES: Final = error_codes(
    _STATUS,
    _UNEXPECTED,
    refusals(
        422,
        *RULES,
        *("order_ended", "has_appointment", "appointment_over"),
        *("appointment_request_pending", "appointment_request_cancelled", "slot_not_offered"),
        *("slot_taken", "slot_gone", "slot_over", "appointment_past_no_return"),
        *("booking_under_way", "cancellation_under_way", "cancellation_undone"),
    ),
)
_UNEXPECTED_SAID: Final = "There was an unexpected error processing the request"
_HEADER_AT_FAULT: Final[dict[type[Exception], str]] = {
    NotAuthenticatedError: "Authorization",
    KeySetUnavailableError: "Authorization",
    IdempotencyKeyReusedError: "Idempotency-Key",
}


def errors_answer(
    status: int, errors: Sequence[messages.Error], *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Answer:
    """Return the "standard error format". No other function knows its shape (inferred, connect decision 17)."""
    return json_answer(status, messages.Errors(errors=list(errors)), headers=(*SIX_HEADERS, *headers))


def error_answer(error: Exception) -> Answer:
    """Return an error as an answer.

    What does not exist and what is another client's get the same bytes (connect decision 14).
    """
    status, code = _STATUS.get(type(error), _UNEXPECTED)
    match error:
        case FieldsError(errors=fields):
            said = [messages.Error(code=code, field=field, message=sentence) for field, sentence in fields]
        case NotFoundError() | ForbiddenError():
            said = [messages.Error(code=code, field=None, message=_NOT_FOUND)]
        case ConflictError(code=own_code):
            said = [messages.Error(code=own_code, field=None, message=str(error))]
        case _ if (status, code) == _UNEXPECTED:
            said = [messages.Error(code=code, field=None, message=_UNEXPECTED_SAID)]
        case _:
            said = [messages.Error(code=code, field=_HEADER_AT_FAULT.get(type(error)), message=str(error))]
    return errors_answer(status, said, headers=error_headers(error, scheme=BEARER))


def refusal_answer(refused: Refused) -> Answer:
    """Return every rule that refused, each with its code (422: inferred, connect decisions 1, 2 and 6)."""
    said = [messages.Error(code=one.code, field="orderId", message=one.sentence) for one in refused.broken]
    return errors_answer(422, said)


def order_answer(status: int, view: OrderView, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """Return an order resource."""
    return json_answer(status, order_shown(view), headers=(*SIX_HEADERS, *headers))


async def orders_answer(views: Sequence[OrderView], following: str | None) -> Answer:
    """Ours: return a page of orders. The next page's address is in the body and, for web tools, in a `Link` header."""
    link = () if following is None else ((b"link", f'<{following}>; rel="next"'.encode()),)
    return await list_answer(
        views,
        order_shown,
        lambda orders: messages.Orders(orders=orders, next=following),
        headers=(*SIX_HEADERS, *link),
    )


def order_shown(view: OrderView) -> messages.Order:
    """Return an order as the contract shows it."""
    given, order = view.service_details, view.order
    plan = given.plan or PlanSnapshot()
    return messages.Order(
        id=order.id,
        # A customer who takes over a line with another number or owner waives the telephone service (documented).
        orderType="transfer" if given.transfer_type or given.pots_waiver else "new",
        status=order.state.value,
        isCancellable=order.state in CANCELLABLE_STATES,
        createdOn=seconds(order.created_at),
        serviceId=given.service_id,
        serviceClass=None,
        technologyType=None,
        trafficClass=given.traffic_class,
        installationType=given.ntd_installation,
        customerRef=given.customer_reference,
        quoteName=given.quote_name,
        locId=given.location_id or "",
        avcId=None,
        avcIdForTransfer=given.avc_id_for_transfer,
        transferType=given.transfer_type,
        vlanId=given.vlan_id,
        poi=None,
        poiName=None,
        region=None,
        eSla=given.restoration_sla,
        bandwidthProfile=messages.BandwidthProfile(
            planName=given.plan_name or "",
            speedDown=plan.speed_down_mbit_s,
            speedUp=plan.speed_up_mbit_s,
            cvcInclusion=None,
        ),
        infrastructure=messages.Infrastructure(id=given.infrastructure_id, portId=given.port_id, productId=None),
        aggregationMethod=given.aggregation_method,
        isNfas=False,
        legacyTechnologyType=None,
        fee=messages.Fee(
            attributes={},
            oneTimeCharge=_money(plan.one_time_charge),
            monthlyRecurringCharge=_money(plan.monthly_charge),
        ),
        additionalFees=[],
        appointments=[appointment_shown(view, one) for one in view.appointments],
    )


def appointment_shown(view: OrderView, appointment: Appointment) -> messages.Appointment:
    """Return an appointment as the contract shows it.

    `nbnAppointmentId` is ours if no booking system gave one (inferred).
    """
    given, slot = view.service_details, appointment.slot
    return messages.Appointment(
        id=appointment.id,
        orderId=view.order.id,
        nbnAppointmentId=appointment.remote_id or f"APT{appointment.id:012d}",
        status=appointment.state.value,
        startTime=seconds(appointment.starts_at),
        endTime=seconds(appointment.ends_at),
        slotType=None if slot is None else _slot_type(slot),
        timezoneOffset=None if slot is None else _offset(slot.utc_offset),
        priorityAssist=False,
        eSla=given.restoration_sla,
        demandType="Standard Install",
        contact=messages.AppointmentContact(
            name=given.contact_name or "", type="Primary Contact", phone=given.contact_phone or ""
        ),
        customerRef=given.customer_reference,
        serviceId=given.service_id,
        cancelledOn=None if appointment.cancelled_at is None else seconds(appointment.cancelled_at),
    )


def slots_answer(task: AppointmentTask) -> Answer:
    """Return the offered slots."""
    assert task.from_date is not None, "every request for slots has a date"
    offered = [
        messages.Slot(
            id=one.id,
            slotType=slot_type,
            date=(one.starts_at + one.utc_offset).date(),
            startTime=seconds(one.starts_at),
            endTime=seconds(one.ends_at),
            timezoneOffset=_offset(one.utc_offset),
        )
        for one in task.slots
        if (slot_type := _slot_type(one)) is not None
    ]
    shown = messages.AppointmentRequest(id=task.id, orderId=task.order_id, dateFrom=task.from_date, slots=offered)
    return json_answer(200, shown, headers=SIX_HEADERS)


def _slot_type(slot: Slot) -> Literal["AM", "PM"] | None:
    """Return the slot's type. The contract has two; for another type, which a newer version may store, return None."""
    return None if isinstance(slot.half_day, Unknown) else slot.half_day.value


def appointment_answer(view: OrderView, appointment: Appointment) -> Answer:
    """Return an appointment resource."""
    return json_answer(200, appointment_shown(view, appointment), headers=SIX_HEADERS)


def appointments_answer(view: OrderView) -> Answer:
    """Ours: return the appointments of an order."""
    shown = messages.Appointments(appointments=[appointment_shown(view, one) for one in view.appointments])
    return json_answer(200, shown, headers=SIX_HEADERS)


def called_off_answer(task: AppointmentTask, appointment: Appointment) -> Answer:
    """Return an appointment-cancellation resource."""
    assert appointment.cancelled_at is not None, "the task is done"
    shown = messages.AppointmentCancellation(
        id=task.id,
        appointmentId=appointment.id,
        orderId=task.order_id,
        cancelledOn=seconds(appointment.cancelled_at),
    )
    return json_answer(200, shown, headers=SIX_HEADERS)


def failure_answer(failure: Failure) -> Answer:
    """Return why a request failed (422, documented; its shape inferred)."""
    return errors_answer(422, [messages.Error(code=failure.code, field=None, message=failure.sentence)])


def cancellability_answer(explanation: Explanation) -> Answer:
    """Ours: return the decision with every finding, and the first instant at which it will be no."""
    decision = explanation.decision
    shown = messages.Cancellability(
        orderId=explanation.order.id,
        cancellable=isinstance(decision, Granted),
        cancellableUntil=decision.cancellable_until if isinstance(decision, Granted) else None,
        decidedAt=explanation.at,
        findings=[
            messages.Finding(code=one.code, passed=one.passed, message=one.sentence, changesAt=one.turns_at)
            for one in decision.findings
        ],
    )
    return json_answer(200, shown, headers=SIX_HEADERS)


def seconds(instant: datetime) -> datetime:
    """Return the instant in UTC, to the second, as in the contract's samples."""
    return instant.astimezone(UTC).replace(microsecond=0)


def _offset(offset: timedelta) -> str:
    """Return the offset as in the samples: +10:00."""
    minutes = offset // timedelta(minutes=1)
    hours, minutes_left = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{minutes_left:02d}"


def _money(amount: str | None) -> messages.MoneyAmount | None:
    return None if amount is None else messages.MoneyAmount(amount=amount, currency="AUD", symbol="$")
