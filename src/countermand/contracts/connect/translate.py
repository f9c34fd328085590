"""How do orders, decisions and errors look in the connect contract? Every answer of the contract is made here."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

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
from countermand.actions.explain import Explanation
from countermand.actions.ports import OrderView
from countermand.contracts.answer import (
    Answer,
    BodyTooLargeError,
    ForbiddenError,
    MalformedRequestError,
    MethodNotAllowedError,
    UnsupportedMediaTypeError,
    error_headers,
    json_answer,
)
from countermand.contracts.connect import messages
from countermand.domain.cancellation import Granted, Refused
from countermand.domain.order_state import CANCELLABLE_STATES

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

# Each of our errors: status, code. An error that is not here is unexpected: 500, which says nothing about itself.
_STATUS: Final[dict[type[Exception], tuple[int, str]]] = {
    MalformedRequestError: (400, "bad_request"),
    NotAuthenticatedError: (401, "unauthorized"),
    NotFoundError: (404, "not_found"),
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
_UNEXPECTED_SAID: Final = "There was an unexpected error processing the request"
_HEADER_AT_FAULT: Final[dict[type[Exception], str]] = {
    NotAuthenticatedError: "Authorization",
    KeySetUnavailableError: "Authorization",
    IdempotencyKeyReusedError: "Idempotency-Key",
}


def errors_answer(
    status: int, errors: Sequence[messages.Error], *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Answer:
    """The "standard error format". The one place that knows its shape (inferred, decision 17)."""
    return json_answer(status, messages.Errors(errors=list(errors)), headers=(*SIX_HEADERS, *headers))


def error_answer(error: Exception) -> Answer:
    """The world's no. The same bytes for what is not there and for what is another's (decision 14)."""
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
    return errors_answer(status, said, headers=error_headers(error, challenge=b"Bearer"))


def refusal_answer(refused: Refused) -> Answer:
    """Every rule that refused, each with its code (422: inferred, decisions 1, 2 and 6)."""
    said = [messages.Error(code=one.code, field="orderId", message=one.sentence) for one in refused.broken]
    return errors_answer(422, said)


def order_answer(status: int, view: OrderView, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """An order resource (names of section 5.5)."""
    given, order = view.details, view.order
    shown = messages.Order(
        id=order.id,
        orderType="new",
        status=order.state.value,
        isCancellable=order.state in CANCELLABLE_STATES,
        createdOn=_seconds(order.created_at),
        customerRef=given.get("customerReference"),
        quoteName=given.get("quoteName"),
        locId=given.get("locationId", ""),
        bandwidthProfile=messages.BandwidthProfile(planName=given.get("planName", "")),
        aggregationMethod=given.get("aggregationMethod"),
        trafficClass=given.get("trafficClass"),
        eSla=given.get("restorationSla"),
        appointments=[
            messages.Appointment(
                id=one.id, status=one.state.value, startTime=_seconds(one.starts_at), endTime=_seconds(one.ends_at)
            )
            for one in view.appointments
        ],
    )
    return json_answer(status, shown, headers=(*SIX_HEADERS, *headers))


def cancellability_answer(explanation: Explanation) -> Answer:
    """Ours: the decision with every finding, and the first instant of no."""
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


def _seconds(instant: datetime) -> datetime:
    """To the second, as the contract's samples have instants."""
    return instant.astimezone(UTC).replace(microsecond=0)
