"""What do all calls of the shopping contract have in common? Their checks, what they name, and what can go wrong."""

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

UID: Final = parameter("uid", "path", "Its uid", {"type": "string", "pattern": f"^{UID_PATTERN}$"})
DOWN: Final[Mapping[int, Reply]] = {
    500: Reply(when="UNKNOWN_ERROR", message=messages.Error),
    503: Reply(
        when="UNAVAILABLE: temporarily down; worth asking again",
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
NOT_FOUND: Final = Reply(when="NOT_FOUND: there is no such thing", message=messages.Error)
WRONG_QUERY: Final = Reply(when="BAD_REQUEST: a parameter does not hold; it is named", message=messages.Error)


RULES: Final = CallRules(
    channel=CHANNEL,
    credential=credential_of,
    error_answer=error_answer,
    kept_refusals=frozenset({HTTPStatus.CONFLICT}),  # a request that is wrong by itself (400, 404) is not kept
    media_types=(HAL,),
    permission_missing="Forbidden. No {permission} permission.",
    not_for_browsers=NOT_FOR_BROWSERS,
)


def uid_in(request: Request, what: str) -> str:
    """The uid in the path. Raises `NotFoundError` for what is none."""
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
    """The address that was called, its query included: a resource's `self` (documented)."""
    query = quote(request.query_string, safe=_IN_A_QUERY)
    return f"{addresses.public}{request.path}?{query}" if query else f"{addresses.public}{request.path}"
