"""Who calls the shopping contract, and which orders may they see?

An application calls with its key and secret (documented), a browser application with a token that may do less
(documented), and whoever has an order's own token may read that order (documented: `Order-Token`).
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
    """Basic or Bearer. Raises `NotAuthenticatedError`."""
    scheme = headers.get(b"authorization", b"").strip().partition(b" ")[0].lower()
    return bearer(headers) if scheme == b"bearer" else basic(headers)


def check_application(client: Client) -> None:
    """Raises `ForbiddenError` for a browser application: anybody has its token.

    What lists the orders or consumers of a client, or gives tickets on, is for those who have its secret (inferred:
    what is documented for a browser's token is a minimal set, and none of these is in it).
    """
    if client.in_browser:
        raise ForbiddenError(NOT_FOR_BROWSERS)


def owner_for(client: Client) -> ClientId | None:
    """Whose orders a client sees: its own, or, with the permission to see all, anybody's (None)."""
    return None if client.may(Permission.READ_ALL) else client.id


async def order_seen(context: OpenContext) -> OrderView:
    """The order in the path, for its own token alone, or for a client that may see it. Raises our errors."""
    request, store = context.request, context.services.store
    if context.client is not None:
        return await read_order(store, _order_id(request), contract=NAME, owner=owner_for(context.client))
    # No scheme is registered for an Order-Token. Bearer is taken here, too, and makes no browser ask for a password.
    wrong = NotAuthenticatedError("the Order-Token is not this order's", scheme=BEARER)
    try:
        view = await read_order(store, _order_id(request), contract=NAME, owner=None)
    except NotFoundError:
        raise wrong from None  # who has no token does not hear which orders there are
    own = view.ticket_details.order_token or ""
    if not own or not hmac.compare_digest(own.encode(), request.headers[_OWN_HEADER].strip()):
        raise wrong
    return view


def _order_id(request: Request) -> OrderId:
    uid = request.path_parameters["uid"]
    if not re.fullmatch(UID_PATTERN, uid):
        raise NotFoundError("there is no such order")
    return order_id_of(uid)
