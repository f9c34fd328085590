"""`POST /ordercancellation/`: when is a request a cancellation, and what does it answer? No input or output here.

The order of checks (inferred, shopping decision 7): method and media type, credentials, the `cancel` permission, key,
body, the order among the caller's own, already cancelled, payment and state.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.errors import FieldsError, OutcomeUnknownError
from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.contracts.http.answer import HAL, Answer, ForbiddenError, MethodNotAllowedError, check_media_type
from countermand.contracts.http.body import WHITE_SPACE, decode, read, shown
from countermand.contracts.http.cancel_endpoint import Credential
from countermand.contracts.http.fingerprints import idempotency_key
from countermand.contracts.http.idempotency import key_in
from countermand.contracts.shopping.access import credential_of
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.contract import CHANNEL
from countermand.contracts.shopping.messages import CancelRequest
from countermand.contracts.shopping.order_rows import OrderBodies
from countermand.contracts.shopping.translate import error_answer, order_answer, refusal_answer
from countermand.domain.actor import Actor
from countermand.domain.client import Client, Permission
from countermand.domain.orders.order import UID_PATTERN, order_id_of

PATH: Final = "/ordercancellation"
_PLAIN_REASON_CAP: Final = 500  # characters after the first one that is visible
_HAL: Final = ((b"content-type", HAL.encode()),)


def _plain_body(addresses: Addresses) -> re.Pattern[bytes]:
    """Return what nearly every body looks like: an order of ours, and a reason in ASCII without quotes and backslashes.

    Such a body needs no parser, because it says the same whoever reads it; a test compares that with the parser. Every
    other body, and every error, goes through the parser.
    """
    known = [re.escape(one.encode()) for one in (addresses.public, *addresses.also) if _needs_no_escape(one)]
    return re.compile(
        rb'%(s)s\{%(s)s"order"%(s)s:%(s)s"(?:%(known)s)/orders/(%(uid)s)/?"'
        rb'%(s)s,%(s)s"reason"%(s)s:%(s)s"( {0,9}[!#-\[\]-~][ !#-\[\]-~]{0,%(more)d})"%(s)s\}%(s)s'
        % {
            b"s": WHITE_SPACE,
            b"known": b"|".join(known) or rb"(?!)",
            b"uid": UID_PATTERN.encode(),
            b"more": _PLAIN_REASON_CAP,
        }
    )


def _needs_no_escape(address: str) -> bool:
    return msgspec.json.encode(address) == b'"%s"' % address.encode()


class ShoppingCancel:
    """Implements `CancelEndpoint`. Serves both spellings of the path, because a redirect would lose the body."""

    channel = CHANNEL
    paths = frozenset({PATH, PATH + "/"})
    shows_order = True

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._bodies = OrderBodies(addresses)
        self._plain = _plain_body(addresses)

    def check_transport(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Accept only POST (documented). The error for 415 is ours (shopping decision 22)."""
        if method != "POST":
            raise MethodNotAllowedError(method, ["POST"])
        check_media_type(headers, also=(HAL,))

    def credential(self, headers: Mapping[bytes, bytes]) -> Credential:
        """Return the application's key and secret. A browser's token may not cancel (shopping decision 18)."""
        return credential_of(headers)

    def command(
        self,
        client: Client,
        headers: Mapping[bytes, bytes],
        query: bytes,
        body: bytes,
        command_id: CommandId,
        address: str | None,
    ) -> CancelOrder:
        """Check permission, key, JSON and fields, in this order, and return the command."""
        if not client.may(Permission.CANCEL):
            raise ForbiddenError("Forbidden. No cancel permission.")
        key = key_in(headers)
        plain = self._plain.fullmatch(body) if key is None else None  # a key stands for the message that was read
        if plain is not None:
            json, uid, reason = None, plain[1].decode(), plain[2].decode()
        else:
            json = decode(body)
            uid, reason = self._read(json)
        return CancelOrder(
            command_id=command_id,
            order_id=order_id_of(uid),
            order_name=f"{CHANNEL}-{uid}",
            actor=Actor(client.id, CHANNEL, address=address),
            reason=reason,
            idempotency=idempotency_key(key, "POST", PATH, query, body, json),
            wants_order=True,
        )

    def _read(self, json: object) -> tuple[str, str]:
        """Return the uid of the order and the reason. Raises `FieldsError`."""
        request = read(CancelRequest, json)
        uid = self._addresses.uid_of_order(request.order)
        wrong = []
        if uid is None:
            like = self._addresses.order("<uid>")
            wrong.append(("order", f"order must be the uri of an order, like {like}, not {shown(request.order)}"))
        if not request.reason.strip():
            wrong.append(("reason", f"reason must have a visible character, not {shown(request.reason)}"))
        if uid is None or wrong:
            raise FieldsError(wrong)
        return uid, request.reason

    def notices(self, headers: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:  # noqa: ARG002
        """See `CancelEndpoint.notices`: none."""
        return ()

    def answer(self, outcome: CancelOutcome) -> Answer:
        """Return 200 with the whole order (inferred, shopping decision 1), or the documented refusals."""
        if not isinstance(outcome, Cancelled):
            return refusal_answer(outcome.refused)
        if isinstance(outcome.shown, TicketOrderRows):
            return Answer(200, _HAL, self._bodies.body(outcome.shown))
        if outcome.shown is None:  # cancelled, but it could not be read back: a repeat gets 409
            raise OutcomeUnknownError("the order is cancelled, but could not be read")
        return order_answer(200, outcome.shown, self._addresses)

    def error(self, error: Exception) -> Answer:
        """See `CancelEndpoint.error`."""
        return error_answer(error)
