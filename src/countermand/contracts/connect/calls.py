"""The rules and answers that all calls of the connect contract share."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from countermand.contracts.connect import messages
from countermand.contracts.connect.contract import CHANNEL
from countermand.contracts.connect.translate import error_answer
from countermand.contracts.connect.versions import HEADER, VERSIONS, Versions
from countermand.contracts.http.calls import CallRules
from countermand.contracts.http.cancel_endpoint import bearer
from countermand.contracts.http.openapi import Reply, parameter

_DEPRECATED: Final = " and ".join(str(version.number) for version in VERSIONS if version.is_deprecated)
VERSION: Final = parameter(
    HEADER,
    "header",
    f"The version of the endpoint you are accessing. {_DEPRECATED} are deprecated, but still work.",
    {"type": "string", "enum": [str(version.number) for version in VERSIONS], "default": str(VERSIONS[-1].number)},
)
_REPLIES: Final[Mapping[int, Reply]] = {
    400: Reply(when="The header X-API-VERSION, the Idempotency-Key or the JSON is invalid", message=messages.Errors),
    401: Reply(when="Bearer Token missing or invalid", message=messages.Errors, headers={"WWW-Authenticate": "Bearer"}),
    404: Reply(when="You are not authorised or the id provided does not exist", message=messages.Errors),
    500: Reply(when="There was an unexpected error processing the request", message=messages.Errors),
    503: Reply(
        when="Nothing was done. Send the request again.", message=messages.Errors, headers={"Retry-After": "seconds"}
    ),
}
_REPLIES_TO_A_BODY: Final[Mapping[int, Reply]] = {
    413: Reply(when="The body is over 64 KiB", message=messages.Errors),
    415: Reply(when="The body is not JSON in UTF-8", message=messages.Errors),
}


def replies(good: Mapping[int, Reply], *, with_body: bool = False) -> Mapping[int, Reply]:
    """Return the replies of a call: its own, and those that every call has."""
    return {**_REPLIES, **(_REPLIES_TO_A_BODY if with_body else {}), **good}


def rules_of(versions: Versions) -> CallRules:
    """Return how calls are checked (connect decision 13): media type, token, version, permission, key, JSON, fields."""
    return CallRules(
        channel=CHANNEL,
        credential=bearer,
        error_answer=error_answer,
        kept_refusals=frozenset({HTTPStatus.UNPROCESSABLE_ENTITY}),
        media_type_first=True,
        version=versions.of,
    )
