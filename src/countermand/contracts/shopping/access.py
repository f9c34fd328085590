"""Who may call the shopping contract, and which orders may each caller see?

An application calls with its key and secret (documented). A browser application calls with a token that may do less
(documented). A caller with an order's own token may read that order (documented: `Order-Token`).
"""

import hmac
import re
from collections.abc import Mapping
from typing import Final

from countermand.actions.errors import NotAuthenticatedError, NotFoundError
from countermand.actions.ordering.read_orders import read_order
from countermand.actions.ordering.views import OrderView
from countermand.contracts.http.answer import BEARER, ForbiddenError
from countermand.contracts.http.calls import OpenContext, Request
from countermand.contracts.http.cancel_endpoint import Credential, bearer
from countermand.contracts.http.credentials import basic
from countermand.contracts.shopping.contract import NAME
from countermand.domain.client import Client, ClientId, Permission
from countermand.domain.orders.order import UID_PATTERN, OrderId, order_id_of

OWN_CREDENTIAL: Final = "Order-Token"
NOT_FOR_BROWSERS: Final = "Forbidden. A browser application's token does not allow this."
_OWN_HEADER: Final = OWN_CREDENTIAL.lower().encode()


def credential_of(headers: Mapping[bytes, bytes]) -> Credential:
    """Return the Basic or Bearer credential of a request. Raises `NotAuthenticatedError`."""
    scheme = headers.get(b"authorization", b"").strip().partition(b" ")[0].lower()
    return bearer(headers) if scheme == b"bearer" else basic(headers)


def check_application(client: Client) -> None:
    """Raise `ForbiddenError` for a browser application, because anybody can read its token.

    Calls that list a client's orders or consumers, or transfer tickets, need the client's secret (inferred: the
    documentation allows a browser's token a minimal set of calls, and these are not in it).
    """
    if client.in_browser:
        raise ForbiddenError(NOT_FOR_BROWSERS)


def owner_for(client: Client) -> ClientId | None:
    """Return the client whose orders a client sees: itself, or None for all clients' with the permission to see all."""
    return None if client.may(Permission.READ_ALL) else client.id


async def order_seen(context: OpenContext) -> OrderView:
    """Return the order in the path, for the order's own token, or for a client that may see it.

    Raises if neither fits.
    """
    request, store = context.request, context.services.store
    if context.client is not None:
        return await read_order(store, _order_id(request), contract=NAME, owner=owner_for(context.client))
    # No scheme is registered for an Order-Token. Bearer works here, too, and makes no browser ask for a password.
    wrong = NotAuthenticatedError("the Order-Token is not this order's", scheme=BEARER)
    try:
        view = await read_order(store, _order_id(request), contract=NAME, owner=None)
    except NotFoundError:
        raise wrong from None  # a caller without a token must not learn which orders exist
    own = view.ticket_details.order_token or ""
    if not own or not hmac.compare_digest(own.encode(), request.headers[_OWN_HEADER].strip()):
        raise wrong
    return view


def _order_id(request: Request) -> OrderId:
    uid = request.path_parameters["uid"]
    if not re.fullmatch(UID_PATTERN, uid):
        raise NotFoundError("there is no such order")
    return order_id_of(uid)
