"""The rules, descriptions and answers that all calls of the partners' API share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from msgspec import Struct

from countermand.actions.errors import NotAuthenticatedError
from countermand.actions.ordering.event_feed import EVENTS_DELETED, OTHER_GENERATION
from countermand.contracts.http.answer import BASIC, Answer, error_headers
from countermand.contracts.http.calls import CallRules
from countermand.contracts.http.cancel_endpoint import Credential, bearer
from countermand.contracts.http.credentials import basic
from countermand.contracts.http.error_codes import error_codes, refusals
from countermand.contracts.http.openapi import Operation, Reply
from countermand.contracts.manage.calls import operation
from countermand.contracts.manage.messages import PROBLEM_JSON, Problem
from countermand.contracts.manage.translate import STATUS, UNEXPECTED, problem_answer
from countermand.domain.client import Permission
from countermand.domain.contract import PARTNER

ROOT: Final = "/partner/v1"
TOO_MANY: Final = "too_many_endpoints"
_HOW: Final = (
    "the credential of your contract is needed: Authorization: Bearer <access token>, or Basic <key and secret>"
)
ERROR_CODES: Final = error_codes(
    STATUS,
    UNEXPECTED,
    (*refusals(409, "overlap_running", TOO_MANY), *refusals(410, OTHER_GENERATION, EVENTS_DELETED)),
)
GONE: Final = Reply(
    when="The cursor does not lead on without a gap; `next` has the cursor to go on at",
    message=Problem,
    media_type=PROBLEM_JSON,
)
_NO_CREDENTIAL: Final = Reply(when="The credential is missing or wrong", message=Problem, media_type=PROBLEM_JSON)


def credential(headers: Mapping[bytes, bytes]) -> Credential:
    """Return the credential of a request, which is that of the caller's contract. Raises `NotAuthenticatedError`."""
    scheme, _, _ = headers.get(b"authorization", b"").strip().partition(b" ")
    match scheme.lower():
        case b"basic":
            return basic(headers)
        case b"bearer":
            return bearer(headers)
    raise NotAuthenticatedError(_HOW)


def error_answer(error: Exception) -> Answer:
    """Return an error as an answer. A caller without a credential learns of both ways to authenticate."""
    answer = problem_answer(error)
    if isinstance(error, NotAuthenticatedError) and not error.scheme:
        return answer.with_headers(*error_headers(error, scheme=BASIC, realm="partners"))
    return answer


RULES: Final = CallRules(
    channel=PARTNER,
    credential=credential,
    error_answer=error_answer,
    kept_refusals=frozenset(),
    refuses_other_parameters=True,
)


def own_operation(
    name: str,
    method: Literal["GET", "POST", "DELETE"],
    path: str,
    summary: str,
    good: Mapping[int, Reply],
    *,
    request: type[Struct] | None = None,
    parameters: Sequence[Mapping[str, object]] = (),
    answers_secret: bool = False,
    conflicts: bool = False,
    may_lack_body: bool = False,
) -> Operation:
    """Return the description of a call, with what all calls have. No call takes an Idempotency-Key."""
    described = operation(
        name,
        method,
        ROOT + path,
        summary,
        Permission.SUBSCRIBE,
        {401: _NO_CREDENTIAL, **good},
        request=request,
        parameters=parameters,
        takes_key=False,
        answers_secret=answers_secret,
        conflicts=conflicts,
        may_lack_body=may_lack_body,
    )
    return replace(described, takes_acting_as=False)
