"""The cancel endpoint of a contract, without input or output: credentials, checks, answers.

The plain ASGI front and the framework's route both call a `CancelEndpoint`, so a contract has one code for its cancel
call, whoever carries the bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.errors import NotAuthenticatedError
from countermand.contracts.http.answer import BASIC, BEARER, Answer
from countermand.domain.client import Client
from countermand.domain.contract import Channel

_HOW: Final = "a bearer token is needed: Authorization: Bearer <token>"


@dataclass(frozen=True, slots=True)
class BearerToken:
    """`Authorization: Bearer …`."""

    token: str
    scheme: ClassVar[str] = BEARER


@dataclass(frozen=True, slots=True)
class BasicKey:
    """`Authorization: Basic …`, decoded."""

    key: str
    secret: str
    scheme: ClassVar[str] = BASIC


Credential = BearerToken | BasicKey


class Authenticator(Protocol):
    """Finds out who is calling; `identity/authentication.py` does."""

    async def client(self, channel: Channel, credential: Credential) -> Client:
        """The client behind a credential on a channel. Never one that is revoked, or that belongs to another channel.

        Raises `NotAuthenticatedError`, or `KeySetUnavailableError` where the token's issuer cannot be asked.
        """
        ...


class CancelEndpoint(Protocol):
    """A contract's own cancel call, sans I/O."""

    channel: Channel
    paths: frozenset[str]  # the request may come on any of these
    shows_order: bool  # whether the answer shows the order as it stands after the commit

    def check_transport(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Method and media type. Raises the errors of `contracts/http/answer.py`."""
        ...

    def credential(self, headers: Mapping[bytes, bytes]) -> Credential:
        """Who the caller says to be. Raises `NotAuthenticatedError`."""
        ...

    def command(
        self, client: Client, headers: Mapping[bytes, bytes], body: bytes, command_id: CommandId
    ) -> CancelOrder:
        """The contract's further checks, in the contract's order. Raises our errors."""
        ...

    def notices(self, headers: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        """Header lines that every answer to such a request has besides its own."""
        ...

    def answer(self, outcome: CancelOutcome) -> Answer:
        """The decision, in the contract's words."""
        ...

    def error(self, error: Exception) -> Answer:
        """The world's no, in the contract's words; a bug is an unexpected failure that says nothing about itself."""
        ...


def bearer(headers: Mapping[bytes, bytes]) -> BearerToken:
    """The bearer token of a request. Raises `NotAuthenticatedError`."""
    scheme, _, token = headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() != b"bearer":
        raise NotAuthenticatedError(_HOW)
    if not token.strip() or not token.isascii():
        raise NotAuthenticatedError(_HOW, scheme=BEARER, refused=bool(token.strip()))
    return BearerToken(token.strip().decode("ascii"))
