"""Names the outcome of each request for the log and for the metrics."""

from collections.abc import Mapping
from typing import Final

from countermand.actions import errors
from countermand.contracts.http import answer
from countermand.domain.cancelling.decision import Refused

CANCELLED: Final = "cancelled"
ASKED: Final = "asked"  # another person has to confirm the override
REFUSED: Final = "refused"
DONE: Final = "done"
UNAVAILABLE: Final = "unavailable"
FAILED: Final = "failed"  # a bug: an error that is in no table

# The outcome of a request that ended in an error that this project raises on purpose.
OUTCOMES: Final[Mapping[type[Exception], str]] = {
    answer.MalformedRequestError: "invalid",
    answer.NoSuchPathError: "not_found",
    answer.MethodNotAllowedError: "invalid",
    answer.BodyTooLargeError: "invalid",
    answer.UnsupportedMediaTypeError: "invalid",
    errors.FieldsError: "invalid",
    errors.NotAuthenticatedError: "unauthorized",
    answer.ForbiddenError: "forbidden",
    errors.NotFoundError: "not_found",
    errors.ConflictError: REFUSED,
    errors.CursorGoneError: "invalid",
    errors.IdempotencyKeyReusedError: "key_reused",
    errors.UnavailableError: UNAVAILABLE,
    errors.HeldError: UNAVAILABLE,
    errors.KeySetUnavailableError: UNAVAILABLE,
    errors.OutcomeUnknownError: "unknown",
}


def outcome_of(error: Exception) -> tuple[str, str]:
    """Return the outcome of a request that ended in `error`, and the error's code if it was a refusal."""
    code = error.code if isinstance(error, errors.ConflictError) else ""
    return OUTCOMES.get(type(error), FAILED), code


def codes_of(refused: Refused) -> str:
    """Return the codes of a refusal, in the policy's order."""
    return ",".join([finding.code for finding in refused.broken])
