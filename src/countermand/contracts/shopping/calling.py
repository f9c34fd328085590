"""What do the calls have in common that change something? Who may, and what can go wrong with a body."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from countermand.actions.errors import ConflictError
from countermand.contracts.answer import stored
from countermand.contracts.openapi import Reply
from countermand.contracts.routing import Call
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.translate import error_answer

_IN_A_QUERY: Final = "!$&'()*+,/:;=?@-._~%"  # RFC 3986
WITH_BODY: Final[Mapping[int, Reply]] = {
    413: Reply(when="PAYLOAD_TOO_LARGE: the body is over 64 KiB", message=messages.Error),
    415: Reply(when="UNSUPPORTED_MEDIA_TYPE: the body is not JSON in UTF-8", message=messages.Error),
    422: Reply(when="IDEMPOTENCY_KEY_REUSED", message=messages.Error),
}


def asked_at(call: Call, addresses: Addresses) -> str:
    """The address that was called, its query included: a resource's `self` (documented)."""
    query = quote(call.query_string, safe=_IN_A_QUERY)
    return f"{addresses.public}{call.path}?{query}" if query else f"{addresses.public}{call.path}"


def refused(error: ConflictError) -> bytes | None:
    """A business refusal is kept under its key; a request that is wrong by itself (400, 404) is not."""
    answer = error_answer(error)
    return stored(answer) if answer.status == HTTPStatus.CONFLICT else None
