"""The rules, parameters and answers that all calls of the shopping contract share."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from countermand.actions.errors import NotFoundError
from countermand.contracts.http.answer import HAL
from countermand.contracts.http.calls import CallRules, Request
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.access import NOT_FOR_BROWSERS, credential_of
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.contract import CHANNEL
from countermand.contracts.shopping.translate import error_answer
from countermand.domain.orders.order import UID_PATTERN

UID: Final = parameter("uid", "path", "The uid of the resource", {"type": "string", "pattern": f"^{UID_PATTERN}$"})
DOWN: Final[Mapping[int, Reply]] = {
    500: Reply(when="UNKNOWN_ERROR", message=messages.Error),
    503: Reply(
        when="UNAVAILABLE: the service is down for a moment. Nothing was done. Send the request again.",
        message=messages.Error,
        headers={"Retry-After": "seconds"},
    ),
}
FAILURES: Final[Mapping[int, Reply]] = {
    401: Reply(
        when="UNAUTHORIZED: the credentials are missing or wrong",
        message=messages.Error,
        headers={"WWW-Authenticate": "Basic"},
    ),
    403: Reply(when="FORBIDDEN: a permission is missing", message=messages.Error),
    **DOWN,
}
NOT_FOUND: Final = Reply(when="NOT_FOUND: the resource does not exist", message=messages.Error)
WRONG_QUERY: Final = Reply(when="BAD_REQUEST: a parameter is invalid; the answer names it", message=messages.Error)


RULES: Final = CallRules(
    channel=CHANNEL,
    credential=credential_of,
    error_answer=error_answer,
    kept_refusals=frozenset({HTTPStatus.CONFLICT}),  # the answer to an invalid request (400, 404) is not stored
    media_types=(HAL,),
    permission_missing="Forbidden. No {permission} permission.",
    not_for_browsers=NOT_FOR_BROWSERS,
)


def uid_in(request: Request, what: str) -> str:
    """Return the uid in the path. Raises `NotFoundError` if it is not a uid."""
    uid = request.path_parameters["uid"]
    if not re.fullmatch(UID_PATTERN, uid):
        raise NotFoundError(f"there is no such {what}")
    return uid


_IN_A_QUERY: Final = "!$&'()*+,/:;=?@-._~%"  # RFC 3986
WITH_BODY: Final[Mapping[int, Reply]] = {
    413: Reply(when="PAYLOAD_TOO_LARGE: the body is over 64 KiB", message=messages.Error),
    415: Reply(when="UNSUPPORTED_MEDIA_TYPE: the body is not JSON in UTF-8", message=messages.Error),
    422: Reply(when="IDEMPOTENCY_KEY_REUSED", message=messages.Error),
}


def asked_at(request: Request, addresses: Addresses) -> str:
    """Return the address that was called, including its query: a resource's `self` (documented)."""
    query = quote(request.query_string, safe=_IN_A_QUERY)
    return f"{addresses.public}{request.path}?{query}" if query else f"{addresses.public}{request.path}"
