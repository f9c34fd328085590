"""`POST /api/connect/orders/cancel`: when is a request a cancellation, and what does it answer?

No input or output here.

The order of checks (inferred, connect decision 13): method and media type, token, version, key, JSON, fields, and only
then whether the order exists, is the caller's, and may be cancelled. All versions have one behaviour (documented).
"""

import re
from collections.abc import Mapping
from typing import Final

from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.errors import NotFoundError
from countermand.contracts.connect.contract import CHANNEL
from countermand.contracts.connect.messages import CancelRequest
from countermand.contracts.connect.translate import CANCELLED, error_answer, refusal_answer
from countermand.contracts.connect.versions import Versions
from countermand.contracts.http.answer import Answer, MethodNotAllowedError, check_media_type
from countermand.contracts.http.body import WHITE_SPACE, decode, read
from countermand.contracts.http.cancel_endpoint import BearerToken, bearer
from countermand.contracts.http.fingerprints import idempotency_key
from countermand.contracts.http.idempotency import key_in
from countermand.domain.actor import Actor
from countermand.domain.client import Client, Permission
from countermand.domain.orders.order import LARGEST_ORDER_ID, OrderId

PATH: Final = "/api/connect/orders/cancel"
# Nearly every body has this form. It needs no parser, because it says the same whoever reads it; a test compares that
# with the parser. Every other body, and every error, goes through the parser.
_PLAIN_BODY: Final = re.compile(
    rb'%(s)s\{%(s)s"orderId"%(s)s:%(s)s([1-9][0-9]{0,17})%(s)s\}%(s)s' % {b"s": WHITE_SPACE}
)


class ConnectCancel:
    """Implements `CancelEndpoint`."""

    channel = CHANNEL
    paths = frozenset({PATH})
    shows_order = False

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def check_transport(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Raise the errors for 405 and 415 (inferred, connect decision 12)."""
        if method != "POST":
            raise MethodNotAllowedError(method, ["POST"])
        check_media_type(headers)

    def credential(self, headers: Mapping[bytes, bytes]) -> BearerToken:
        """Return the OAuth bearer access token (documented)."""
        return bearer(headers)

    def command(
        self,
        client: Client,
        headers: Mapping[bytes, bytes],
        query: bytes,
        body: bytes,
        command_id: CommandId,
        address: str | None,
    ) -> CancelOrder:
        """Check version, key, JSON, fields and permission, in this order, and return the command."""
        self._versions.of(headers)
        key = key_in(headers)
        plain = _PLAIN_BODY.fullmatch(body) if key is None else None  # a key stands for the message that was read
        json = None if plain is not None else decode(body)
        order_id = int(plain[1]) if plain is not None else read(CancelRequest, json).orderId
        # Without the permission, and for a number that no order can have, the answer is that there is no such order
        # (connect decisions 10, 27).
        if not client.may(Permission.CANCEL) or not 0 < order_id <= LARGEST_ORDER_ID:
            raise NotFoundError("there is no such order")
        return CancelOrder(
            command_id=command_id,
            order_id=OrderId(order_id),
            order_name=f"{CHANNEL}-{order_id}",
            actor=Actor(client.id, CHANNEL, address=address),
            idempotency=idempotency_key(key, "POST", PATH, query, body, json),
        )

    def notices(self, headers: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        """See `CancelEndpoint.notices`: the headers that announce a deprecated version (ours)."""
        return self._versions.notices(headers)

    def answer(self, outcome: CancelOutcome) -> Answer:
        """Return 200 with no body (documented), or 422 with the reasons (inferred)."""
        return CANCELLED if isinstance(outcome, Cancelled) else refusal_answer(outcome.refused)

    def error(self, error: Exception) -> Answer:
        """See `CancelEndpoint.error`."""
        return error_answer(error)
