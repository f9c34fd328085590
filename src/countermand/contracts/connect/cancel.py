"""`POST /api/connect/orders/cancel`: when is a request a cancellation, and what does it answer?

No input or output here.

The order of checks (inferred, connect decision 13): method and media type, token, version, key, JSON, fields, and only
then whether the order exists, is the caller's, and may be cancelled. All versions have one behaviour (documented).
"""

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
from countermand.contracts.http.body import decode, read
from countermand.contracts.http.cancel_endpoint import BearerToken, bearer
from countermand.contracts.http.fingerprints import idempotency_key
from countermand.contracts.http.idempotency import key_in
from countermand.domain.actor import Actor
from countermand.domain.client import Client, Permission
from countermand.domain.orders.order import LARGEST_ORDER_ID, OrderId

PATH: Final = "/api/connect/orders/cancel"


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
        json = decode(body)
        order_id = read(CancelRequest, json).orderId
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
