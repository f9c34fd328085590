"""What is spoken here? Each contract, and the operator's API: its calls, how they are checked, its description."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from countermand.actions.ports import ClientAdministration
from countermand.contracts.connect import tokens
from countermand.contracts.connect.routes import CANCEL as CANCEL_CONNECT
from countermand.contracts.connect.routes import Connect
from countermand.contracts.connect.tokens import TokenEndpoint
from countermand.contracts.http.calls import Call, CallRules
from countermand.contracts.http.cancel_endpoint import CancelEndpoint
from countermand.contracts.http.openapi import Operation, document
from countermand.contracts.manage.calls import ROOT as MANAGE_ROOT
from countermand.contracts.manage.calls import RULES as MANAGE_RULES
from countermand.contracts.manage.clients import ManagedClients
from countermand.contracts.manage.routes import CALLS as MANAGE_CALLS
from countermand.contracts.shopping import routes as shopping
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.calls import RULES as SHOPPING_RULES
from countermand.contracts.shopping.cancelling.cancel import ShoppingCancel

Notices = Callable[[Mapping[bytes, bytes]], tuple[tuple[bytes, bytes], ...]]


def _no_notices(_: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Part:
    """A contract, or the operator's API: its calls, how they are checked, its cancel path, and its description.

    `notices` gives, for a request's headers, the header lines that every answer to it has besides its own.
    """

    name: str
    title: str
    about: str
    prefix: str
    calls: Sequence[Call]
    rules: CallRules
    cancel: tuple[CancelEndpoint, Operation] | None
    security: Mapping[str, Any]
    notices: Notices = _no_notices

    def openapi(self, server_path: str, version: str) -> dict[str, Any]:
        """The part's OpenAPI 3.1 document."""
        operations = [call.operation for call in self.calls]
        if self.cancel is not None:
            operations.insert(0, self.cancel[1])
        return document(
            title=self.title,
            version=version,
            description=self.about,
            server_path=server_path,
            operations=operations,
            security=self.security,
        )


_NOT_AFFILIATED: Final = "An independent implementation of a published contract, not affiliated with its owner. "


def parts(
    connect: Connect,
    addresses: Addresses,
    clients: ClientAdministration,
    endpoint: TokenEndpoint | None = None,
    *,
    payment_limit: timedelta = timedelta(hours=1),
) -> tuple[Part, ...]:
    """Everything that is spoken here. Another contract is another folder, and another entry in this list."""
    return (
        *(() if endpoint is None else (_tokens(endpoint),)),
        Part(
            name="connect",
            title="Countermand: connect (telecom wholesale)",
            about=_NOT_AFFILIATED + "Every call needs `Authorization: Bearer` and `X-API-VERSION`.",
            prefix="/api/connect",
            calls=connect.calls(),
            rules=connect.rules,
            cancel=(connect.cancel, CANCEL_CONNECT),
            notices=connect.versions.notices,
            security={"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        ),
        Part(
            name="manage",
            title="Countermand: management",
            about="Ours: for the operator and the systems beside Countermand.",
            prefix=MANAGE_ROOT,
            calls=(*MANAGE_CALLS, *ManagedClients(clients).calls()),
            rules=MANAGE_RULES,
            cancel=None,
            security={"bearer": {"type": "http", "scheme": "bearer"}},
        ),
        Part(
            name="shopping",
            title="Countermand: shopping (ticketing)",
            about=_NOT_AFFILIATED
            + "HAL; calls need an application's key and secret, or a browser application's token.",
            prefix="/",
            calls=shopping.calls(addresses, payment_limit),
            rules=SHOPPING_RULES,
            cancel=(ShoppingCancel(addresses), shopping.CANCEL),
            security={"basic": {"type": "http", "scheme": "basic"}},
        ),
    )


def _tokens(endpoint: TokenEndpoint) -> Part:
    """The token endpoint of the connect contract: not under its `/api`, and with OAuth's own errors."""
    return Part(
        name="tokens",
        title="Countermand: access tokens for connect",
        about=_NOT_AFFILIATED + "OAuth 2 client credentials with `private_key_jwt`; no call here needs a token.",
        prefix="/auth/",
        calls=tokens.TokenCalls(endpoint).calls(),
        rules=tokens.RULES,
        cancel=None,
        security={},
    )
