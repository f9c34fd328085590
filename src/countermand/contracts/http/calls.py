"""The calls of a contract, as data: what a call describes, needs and reads, and the handler that answers it.

`contracts/http/execute.py` runs them. A handler gets only requests that passed every check of their call.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from countermand.actions.bulkhead import Bulkhead
from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.cancelling.command_ids import CommandIds
from countermand.actions.ports import CancelOrder, Clock, IdempotencyKey, Policies, Store, Transaction
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.body import read
from countermand.contracts.http.cancel_endpoint import Authenticator, Credential
from countermand.contracts.http.openapi import Operation
from countermand.domain.client import Client
from countermand.domain.contract import Channel

Body = TypeVar("Body")
Message = TypeVar("Message", bound=msgspec.Struct)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What came in, as a contract sees it."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    path_parameters: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    peer: str = ""  # the address it came from, which may be a proxy's
    query_string: bytes = b""  # as it came: a name may stand there more than once


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What calls are answered with. `public_url` is the address clients use, without a trailing slash."""

    store: Store
    policies: Policies
    clock: Clock
    authenticator: Authenticator
    command_ids: CommandIds
    # The way into the group commit that every channel shares; a yes is `CancelledWithHistory`, if it can be read.
    cancel: Callable[[CancelOrder], Awaitable[CancelOutcome]]
    public_url: str
    bulkhead: Bulkhead | None = None  # None if the store's transactions take turns by themselves


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedBody:
    """A body as JSON values, and what its meaning may depend on. `version` is 0 in a contract without versions."""

    json: Any
    client: Client
    version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CallContext(Generic[Body]):
    """A request that passed all checks of its call: who sent it, its body as the call reads it, its Idempotency-Key."""

    request: Request
    services: Services
    client: Client
    body: Body
    key: IdempotencyKey | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenContext:
    """A request to an `OpenCall`: the `client` is None where the call did not ask who sends it."""

    request: Request
    services: Services
    client: Client | None


def no_body(_: DecodedBody) -> None:
    """The reader of a call that takes no body."""


def body_of(message: type[Message]) -> Callable[[DecodedBody], Message]:
    """The reader of a call whose handler takes the message as it is. Raises `FieldsError`."""
    return lambda given: read(message, given.json)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of a contract: one of the three below.

    No type of a body stands here, so that mypy compares the reader and the handler of each call in a list.
    """

    operation: Operation


@dataclass(frozen=True, kw_only=True)
class ServiceCall(Call, Generic[Body]):
    """A call that is answered with the services: a read, or a change that is kept together by other means."""

    body: Callable[[DecodedBody], Body]
    handle: Callable[[CallContext[Body]], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class TransactionCall(Call, Generic[Body]):
    """A call that changes something: its handler runs in one transaction, and once under one Idempotency-Key.

    `products` are the uids of the products that a body names, if the call takes places off their stock or changes them:
    only a few such calls run at once (`actions/bulkhead.py`).
    """

    body: Callable[[DecodedBody], Body]
    handle: Callable[[Transaction, CallContext[Body]], Awaitable[Answer]]
    products: Callable[[Body], Sequence[str]] | None = None


@dataclass(frozen=True, kw_only=True)
class OpenCall(Call):
    """A call for everybody (its operation says why), or for a request with a credential that only this call knows.

    A request without the header `Operation.own_credential` is checked as that of any other call.
    """

    handle: Callable[[OpenContext], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class CallRules:
    """What differs from contract to contract in how a call is checked and answered.

    The checks come in this order: [media type,] credential, version, permission, [media type,] Idempotency-Key, JSON,
    fields. `media_type_first` says which of the two places the media type has.
    """

    channel: Channel
    credential: Callable[[Mapping[bytes, bytes]], Credential]  # raises `NotAuthenticatedError`
    error_answer: Callable[[Exception], Answer]
    kept_refusals: frozenset[int]  # statuses of refusals that are stored under an Idempotency-Key
    media_type_first: bool = False
    media_types: tuple[str, ...] = ()  # that a body may have besides JSON's
    version: Callable[[Mapping[bytes, bytes]], int] | None = None  # raises `MalformedRequestError`
    permission_missing: str = "the permission {permission} is needed"
    not_for_browsers: str = "a browser application's token does not allow this"
