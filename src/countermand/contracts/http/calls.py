"""What is a call of a contract, and what does answering it need? The web layer brings both together."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.cancelling.command_ids import CommandIds
from countermand.actions.ports import CancelOrder, Clock, Policies, Store
from countermand.contracts.http.answer import Answer
from countermand.contracts.http.cancel_endpoint import Authenticator
from countermand.contracts.http.openapi import Operation


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request as a contract sees it."""

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
    cancel: Callable[[CancelOrder], Awaitable[CancelOutcome]]  # the way into the group commit that every channel shares
    public_url: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """A call as it is described, and what answers it. Exceptions become answers in the contract's own words."""

    operation: Operation
    handle: Callable[[Call, Services], Awaitable[Answer]]
