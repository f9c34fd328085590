"""The calls of a contract, as data: what a call describes, needs and reads, and the handler that answers it.

`contracts/http/execute.py` runs them. A handler gets only requests that passed every check of their call.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

import msgspec

from countermand.actions.bulkhead import Bulkhead
from countermand.actions.cancelling.approvals import TwoPersonsOutcome
from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.cancelling.command_ids import CommandIds
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.cancelling.policies import Policies
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.idempotency import IdempotencyKey
from countermand.actions.ports import Clock
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.body import read
from countermand.contracts.http.cancel_endpoint import Authenticator, Credential
from countermand.contracts.http.openapi import Operation
from countermand.contracts.http.store import Store, Transaction
from countermand.domain.actor import Actor
from countermand.domain.client import Client
from countermand.domain.contract import Channel

Body = TypeVar("Body")
Message = TypeVar("Message", bound=msgspec.Struct)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request as a contract sees it."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    path_parameters: Mapping[str, str]
    body: bytes
    peer: str = ""  # the address of the sender, which may be a proxy
    query_string: bytes = b""  # `contracts/http/query.py` reads it


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What handlers answer calls with. `public_url` is the address that clients use, without a trailing slash."""

    store: Store
    policies: Policies
    archive: PolicyArchive
    clock: Clock
    authenticator: Authenticator
    command_ids: CommandIds
    # Cancels through the group commit that all channels share. A success is `CancelledWithHistory`, if it can be read.
    cancel: Callable[[CancelOrder], Awaitable[CancelOutcome]]
    public_url: str
    refusals_kept: timedelta  # how long a refusal is kept, before a background task deletes it
    override_needs_two: bool = False  # whether another person has to confirm an override
    # Notes the outcome of a cancellation that did not go through `cancel`, for the request's report.
    note_outcome: Callable[[TwoPersonsOutcome], None] = lambda _: None
    note_order: Callable[[str], None] = lambda _: None  # notes the order's id, if the path does not name the order
    bulkhead: Bulkhead | None = None  # None if the store's transactions take turns by themselves


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedBody:
    """A body as JSON values, with the client and the version that its meaning may depend on.

    `version` is 0 in a contract without versions.
    """

    json: object
    client: Client
    version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CallContext(Generic[Body]):
    """A request that passed all checks of its call: who makes it, its body as the call reads it, and its key."""

    request: Request
    services: Services
    client: Client
    actor: Actor
    body: Body
    key: IdempotencyKey | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenContext:
    """A request to an `OpenCall`. The `client` is None if the call does not authenticate the caller."""

    request: Request
    services: Services
    client: Client | None


def no_body(_: DecodedBody) -> None:
    """Reads the body of a call that has none: returns None."""


def body_of(message: type[Message]) -> Callable[[DecodedBody], Message]:
    """Return the reader of a call whose handler gets the message unchanged. The reader raises `FieldsError`."""
    return lambda given: read(message, given.json)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of a contract: one of the three classes below.

    This class does not name the type of the body, so that mypy compares the reader and the handler of each call in a
    list.
    """

    operation: Operation


@dataclass(frozen=True, kw_only=True)
class ServiceCall(Call, Generic[Body]):
    """A call whose handler gets the services: a read, or a change that needs no transaction of this kind."""

    body: Callable[[DecodedBody], Body]
    handle: Callable[[CallContext[Body]], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class TransactionCall(Call, Generic[Body]):
    """A call that changes something. Its handler runs in one transaction, and only once for each Idempotency-Key.

    `products` returns the uids of the products whose stock or entry the call changes; only a few calls for one product
    run at once (`actions/bulkhead.py`).
    """

    body: Callable[[DecodedBody], Body]
    handle: Callable[[Transaction, CallContext[Body]], Awaitable[Answer]]
    products: Callable[[Body], Sequence[str]] | None = None


@dataclass(frozen=True, kw_only=True)
class OpenCall(Call):
    """A call for everybody (its operation says why), or for requests with a credential that only this call knows.

    A request without the header `Operation.own_credential` passes the same checks as a request to any other call.
    """

    handle: Callable[[OpenContext], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class CallRules:
    """The checks and answers that differ from contract to contract.

    The order of the checks is: [media type,] credential, version, permission, [media type,] Idempotency-Key, JSON,
    fields. `media_type_first` says which of the two places the media type has.
    """

    channel: Channel
    credential: Callable[[Mapping[bytes, bytes]], Credential]  # raises `NotAuthenticatedError`
    error_answer: Callable[[Exception], Answer]
    kept_refusals: frozenset[int]  # statuses of refusals that are stored under an Idempotency-Key
    media_type_first: bool = False
    media_types: tuple[str, ...] = ()  # media types that a body may have besides JSON's
    version: Callable[[Mapping[bytes, bytes]], int] | None = None  # raises `MalformedRequestError`
    takes_acting_as: bool = False  # whether a client may say whom it acts for
    refuses_other_parameters: bool = False  # whether a query parameter that the call does not describe is refused
    permission_missing: str = "the permission {permission} is needed"
    not_for_browsers: str = "a browser application's token does not allow this"
