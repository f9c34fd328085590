"""The interface of a contract's cancel endpoint: credentials, checks, answers. It does no input or output.

The plain ASGI front and the framework's route both call a `CancelEndpoint`, so that a contract has the same code for
its cancel call in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.errors import NotAuthenticatedError
from countermand.contracts.http.answer import BASIC, BEARER, Answer
from countermand.domain.client import Client
from countermand.domain.contract import Channel
from countermand.domain.staff_id import StaffId

_HOW: Final = "a bearer token is needed: Authorization: Bearer <token>"


@dataclass(frozen=True, slots=True)
class BearerToken:
    """`Authorization: Bearer …`."""

    token: str = field(repr=False)
    scheme: ClassVar[str] = BEARER


@dataclass(frozen=True, slots=True)
class BasicKey:
    """The key and the secret of `Authorization: Basic …`, decoded."""

    key: str
    secret: str = field(repr=False)
    scheme: ClassVar[str] = BASIC


Credential = BearerToken | BasicKey


class Authenticator(Protocol):
    """Finds the client that is calling. `identity/authentication.py` implements it."""

    async def client(self, channel: Channel, credential: Credential) -> Client:
        """Return the client that a credential on a channel belongs to.

        A client that is revoked, or belongs to another channel, is never returned; to the partners' channel belong the
        clients of all contracts. Raises `NotAuthenticatedError`, or
        `KeySetUnavailableError` if the key set of the token's issuer is not available.
        """
        ...

    async def acting_as(self, client: Client, given: str) -> StaffId:
        """Return the person for whom the client says that it acts: the person with the id `given`.

        Raises `ForbiddenError` without the permission, and `FieldsError` unless there is such a person, not disabled.
        """
        ...


class CancelEndpoint(Protocol):
    """A contract's own cancel call, without input or output."""

    channel: Channel
    paths: frozenset[str]  # any of these paths leads to the endpoint
    shows_order: bool  # whether the answer shows the order as it stands after the commit

    def check_transport(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Check method and media type. Raises the errors of `contracts/http/answer.py`."""
        ...

    def credential(self, headers: Mapping[bytes, bytes]) -> Credential:
        """Return the credential that the caller sent. Raises `NotAuthenticatedError`."""
        ...

    def command(
        self,
        client: Client,
        headers: Mapping[bytes, bytes],
        query: bytes,
        body: bytes,
        command_id: CommandId,
        address: str | None,
    ) -> CancelOrder:
        """Make all further checks, in the contract's order, and return the command.

        `query` only helps to tell whether a request under an Idempotency-Key is a repeat. The record keeps `address`.
        Raises errors of `actions/errors.py`.
        """
        ...

    def notices(self, headers: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        """Return the header lines that every answer to such a request gets besides its own."""
        ...

    def answer(self, outcome: CancelOutcome) -> Answer:
        """Return the outcome as an answer of the contract."""
        ...

    def error(self, error: Exception) -> Answer:
        """Return an error as an answer of the contract. A bug becomes an unexpected failure without any details."""
        ...


def bearer(headers: Mapping[bytes, bytes]) -> BearerToken:
    """Return the bearer token of a request. Raises `NotAuthenticatedError`."""
    scheme, _, token = headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() != b"bearer":
        raise NotAuthenticatedError(_HOW)
    if not token.strip() or not token.isascii():
        raise NotAuthenticatedError(_HOW, scheme=BEARER, refused=bool(token.strip()))
    return BearerToken(token.strip().decode("ascii"))
