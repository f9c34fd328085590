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
from countermand.actions.ports import OrderView
from countermand.contracts.http.answer import BEARER, ForbiddenError
from countermand.contracts.http.calls import Call, Services
from countermand.contracts.http.cancel_endpoint import Credential, bearer
from countermand.contracts.shopping.credentials import basic
from countermand.domain.client import Client, ClientId, Permission
from countermand.domain.contract import Door
from countermand.domain.orders.order import UID_PATTERN, OrderId, order_id_of

_ORDER_TOKEN: Final = b"order-token"


def credential_of(headers: Mapping[bytes, bytes]) -> Credential:
    """Basic or Bearer. Raises `NotAuthenticatedError`."""
    scheme = headers.get(b"authorization", b"").strip().partition(b" ")[0].lower()
    return bearer(headers) if scheme == b"bearer" else basic(headers)


async def caller(call: Call, services: Services, permission: Permission) -> Client:
    """Who calls, if they may do this. Raises `NotAuthenticatedError`, `ForbiddenError`."""
    client = await services.authenticator.client(Door.SHOPPING, credential_of(call.headers))
    if not client.may(permission):
        raise ForbiddenError(f"Forbidden. No {permission} permission.")
    return client


async def application(call: Call, services: Services, permission: Permission) -> Client:
    """The same, but for browser applications: anybody has their token, so of orders they read one whose uid they know.

    What lists the orders or consumers of a client, or gives tickets on, is for those who have its secret (inferred:
    what is documented for a browser's token is a minimal set, and none of these is in it). Raises as `caller` does.
    """
    client = await caller(call, services, permission)
    check_application(client)
    return client


def check_application(client: Client) -> None:
    """Raises `ForbiddenError` for a browser application."""
    if client.in_browser:
        raise ForbiddenError("Forbidden. A browser application's token does not allow this.")


def owner_for(client: Client) -> ClientId | None:
    """Whose orders a client sees: its own, or, with the permission to see all, anybody's (None)."""
    return None if client.may(Permission.READ_ALL) else client.id


async def order_seen(call: Call, services: Services) -> OrderView:
    """The order in the path, for its own token alone, or for a client that may see it. Raises our errors."""
    token = call.headers.get(_ORDER_TOKEN)
    if token is None:
        client = await caller(call, services, Permission.READ)
        return await read_order(services.store, _order_id(call), owner=owner_for(client))
    # No scheme is registered for it. Bearer is taken here, too, and makes no browser ask its user for a password.
    wrong = NotAuthenticatedError("the Order-Token is not this order's", scheme=BEARER)
    try:
        view = await read_order(services.store, _order_id(call), owner=None)
    except NotFoundError:
        raise wrong from None  # who has no token does not hear which orders there are
    own = str(view.details.get("order_token", ""))
    if not own or not hmac.compare_digest(own.encode(), token.strip()):
        raise wrong
    return view


def _order_id(call: Call) -> OrderId:
    uid = call.path_parameters["uid"]
    if not re.fullmatch(UID_PATTERN, uid):
        raise NotFoundError("there is no such order")
    return order_id_of(uid)
