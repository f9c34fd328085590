"""What is said of a request to the operator: what became of it, in one word, whose it was, and which order it named?"""

import re
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final, cast

from litestar.types import Scope

from countermand.actions import errors
from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.ports import CancelOrder
from countermand.contracts.http import answer
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.calls import Services
from countermand.contracts.http.cancel_endpoint import Credential
from countermand.domain.cancelling.decision import Refused
from countermand.domain.client import Client
from countermand.domain.contract import Channel
from countermand.domain.orders.order import UID_PATTERN, OrderUid, order_id_of
from countermand.telemetry.requests import RouteReports

CANCELLED: Final = "cancelled"
REFUSED: Final = "refused"
DONE: Final = "done"
FAILED: Final = "failed"  # a bug: what is in no table

# What became of a request that ended in an error of ours.
OUTCOMES: Final[Mapping[type[Exception], str]] = {
    answer.MalformedRequestError: "invalid",
    answer.MethodNotAllowedError: "invalid",
    answer.BodyTooLargeError: "invalid",
    answer.UnsupportedMediaTypeError: "invalid",
    errors.FieldsError: "invalid",
    errors.NotAuthenticatedError: "unauthorized",
    answer.ForbiddenError: "forbidden",
    errors.NotFoundError: "not_found",
    errors.ConflictError: REFUSED,
    errors.IdempotencyKeyReusedError: "key_reused",
    errors.UnavailableError: "unavailable",
    errors.HeldError: "unavailable",
    errors.KeySetUnavailableError: "unavailable",
    errors.OutcomeUnknownError: "unknown",
}

_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_NUMBER: Final = re.compile("[0-9]{1,19}")
_UID: Final = re.compile(UID_PATTERN)
_STARTED: Final = "countermand.started_s"
_ERROR: Final = 400
_SERVER_ERROR: Final = 500


def outcome_of(error: Exception) -> tuple[str, str]:
    """What became of a request that ended in `error`, and the code of the refusal if it was one."""
    code = error.code if isinstance(error, errors.ConflictError) else ""
    return OUTCOMES.get(type(error), FAILED), code


def codes_of(refused: Refused) -> str:
    """The codes of a refusal, in the policy's order."""
    return ",".join([finding.code for finding in refused.broken])


def given_request_id(headers: Mapping[bytes, bytes]) -> str | None:
    """The id by which the caller knows the request: visible ASCII; anything else is no id."""
    given = headers.get(b"x-request-id")
    return given.decode() if given is not None and _REQUEST_ID.fullmatch(given) else None


def with_request_id(answered: Answer, given: str | None, request_id: str) -> Answer:
    """Give the caller's id back, and an unexpected failure an id to ask about."""
    if given is None and answered.status < _SERVER_ERROR:
        return answered
    return answered.with_headers((b"x-request-id", request_id.encode()))


def note_start(scope: Scope) -> None:
    """Remember when a request that goes to the framework came in. ASGI lets servers add keys of their own."""
    cast("dict[str, Any]", scope)[_STARTED] = perf_counter()


def started_s(scope: Scope) -> float:
    """When it came in, in seconds of `perf_counter`; without the front, nobody noted it."""
    return cast("dict[str, Any]", scope).get(_STARTED) or perf_counter()


class RequestRecord:
    """What is learned of a request while it is answered: stands between a contract's call and what answers it.

    Fulfils `Authenticator`. For the calls of the framework; a cancel through the front has its own few variables.
    """

    def __init__(self, services: Services, path_parameters: Mapping[str, str]) -> None:
        self._services = services
        self.client_id: int | None = None
        self.order = _order_named(path_parameters.get("id") or path_parameters.get("uid") or "")
        self.outcome, self.code = "", ""

    async def client(self, channel: Channel, credential: Credential) -> Client:
        """See `Authenticator.client`."""
        client = await self._services.authenticator.client(channel, credential)
        self.client_id = client.id
        return client

    async def cancel(self, command: CancelOrder) -> CancelOutcome:
        """See `Services.cancel`."""
        outcome = await self._services.cancel(command)
        if isinstance(outcome, Cancelled):
            self.outcome = CANCELLED
        else:
            self.outcome, self.code = REFUSED, codes_of(outcome.refused)
        return outcome

    def failed(self, error: Exception) -> None:
        """It ended in an error, whatever was done before."""
        self.outcome, self.code = outcome_of(error)

    def report(self, reports: RouteReports, answered: Answer, request_id: str, scope: Scope) -> None:
        """Say what became of it."""
        outcome = self.outcome or (DONE if answered.status < _ERROR else REFUSED)
        order = self.order or _order_placed(answered)
        reports.answered(request_id, started_s(scope), answered.status, outcome, self.code, self.client_id, order)


def _order_named(name: str) -> str | None:
    """An order's number, if that is what a path has: a caller can put anything there."""
    if _UID.fullmatch(name):
        return str(order_id_of(OrderUid(name)))
    return name if _NUMBER.fullmatch(name) else None


def _order_placed(answered: Answer) -> str | None:
    location = dict(answered.headers).get(b"location", b"")
    return _order_named(location.rpartition(b"/")[2].decode("latin-1"))
