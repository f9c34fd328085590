"""What is spoken here? Each contract, and the operator's API: its routes, its words for errors, its description."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from countermand.actions.ports import ClientAdministration
from countermand.contracts.connect import tokens
from countermand.contracts.connect.routes import CANCEL as CANCEL_CONNECT
from countermand.contracts.connect.routes import Connect
from countermand.contracts.connect.tokens import TokenEndpoint
from countermand.contracts.connect.translate import error_answer as connect_error
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.calls import Route
from countermand.contracts.http.cancel_endpoint import CancelEndpoint
from countermand.contracts.http.openapi import Operation, document
from countermand.contracts.manage.calls import ROOT as MANAGE_ROOT
from countermand.contracts.manage.clients import ManagedClients
from countermand.contracts.manage.routes import ROUTES as MANAGE_ROUTES
from countermand.contracts.manage.translate import problem_answer
from countermand.contracts.shopping import routes as shopping
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.cancelling.cancel import ShoppingCancel
from countermand.contracts.shopping.translate import error_answer as shopping_error

Speak = Callable[[Exception], Answer]
Notices = Callable[[Mapping[bytes, bytes]], tuple[tuple[bytes, bytes], ...]]


def _no_notices(_: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Part:
    """A contract, or the operator's API: its routes, its cancel path, its words for errors, and its description.

    `notices` gives, for a request's headers, the header lines that every answer to it has besides its own.
    """

    name: str
    title: str
    about: str
    prefix: str
    routes: Sequence[Route]
    cancel: tuple[CancelEndpoint, Operation] | None
    speak: Speak
    security: Mapping[str, Any]
    notices: Notices = _no_notices

    def openapi(self, server_path: str, version: str) -> dict[str, Any]:
        """The part's OpenAPI 3.1 document."""
        operations = [route.operation for route in self.routes]
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
            routes=connect.routes(),
            cancel=(connect.cancel, CANCEL_CONNECT),
            speak=connect_error,
            notices=connect.versions.notices,
            security={"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        ),
        Part(
            name="manage",
            title="Countermand: management",
            about="Ours: for the operator and the systems beside Countermand.",
            prefix=MANAGE_ROOT,
            routes=(*MANAGE_ROUTES, *ManagedClients(clients).routes()),
            cancel=None,
            speak=problem_answer,
            security={"bearer": {"type": "http", "scheme": "bearer"}},
        ),
        Part(
            name="shopping",
            title="Countermand: shopping (ticketing)",
            about=_NOT_AFFILIATED
            + "HAL; calls need an application's key and secret, or a browser application's token.",
            prefix="/",
            routes=shopping.routes(addresses, payment_limit),
            cancel=(ShoppingCancel(addresses), shopping.CANCEL),
            speak=shopping_error,
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
        routes=tokens.routes(endpoint),
        cancel=None,
        speak=tokens.error_answer,
        security={},
    )
