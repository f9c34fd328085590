"""The declaration of a contract: everything that the rest of the service knows of it.

A declaration is light, so that the command line can name the contracts in its help. Only `Contract.api` and
`Contract.order_in_event` import the contract's calls and messages, when they are called.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeVar

from countermand.domain.client import Permission
from countermand.domain.contract import MANAGE, Channel, ContractName, channel_of
from countermand.domain.orders.order_kind import OrderKind

if TYPE_CHECKING:  # what runs on the framework is imported when a service is built
    import msgspec

    from countermand.actions.ordering.views import OrderView
    from countermand.contracts.http.api_module import ApiModule

Terms = TypeVar("Terms")

_NAME: Final = re.compile("[a-z][a-z0-9_]{0,15}")  # as wide as its column, and plain within a statement


class Authentication(Enum):
    """A way to say who is calling. `identity/authentication.py` knows which credential each takes."""

    ACCESS_TOKEN = auto()  # a bearer token of an issuer, in which a claim names the client
    KEY_AND_SECRET = auto()  # in `Authorization: Basic`
    KEY_SECRET_TOKEN = auto()  # the two as one bearer token, with a dot between them
    BROWSER_TOKEN = auto()  # a bearer token that is signed with a client's secret


class Page(Enum):
    """A page of ours for a buyer, which a contract's orders may have."""

    PAYMENT = auto()  # the sandbox's
    ETICKETS = auto()


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may call over a channel: the ways to authenticate, and the permissions of a client that is given none."""

    channel: Channel
    authentication: tuple[Authentication, ...]
    default_permissions: frozenset[Permission]

    @property
    def has_secrets(self) -> bool:
        """Whether its clients have a key and a secret; otherwise an issuer's tokens name them."""
        return Authentication.ACCESS_TOKEN not in self.authentication

    @property
    def joins_secrets(self) -> bool:
        """Whether its clients call with their key and secret as one token."""
        return Authentication.KEY_SECRET_TOKEN in self.authentication


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a contract's calls are made with: the address of the service, and the terms of the operator.

    `public_url` has no trailing slash. A contract with settings of its own has a class of terms, of which bootstrap
    makes one.
    """

    public_url: str
    terms: Sequence[object] = ()

    def terms_of(self, kind: type[Terms]) -> Terms:
        """The terms of a contract. Raises `LookupError` where bootstrap made none."""
        for one in self.terms:
            if isinstance(one, kind):
                return one
        raise LookupError(f"the deployment has no {kind.__name__}")


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A published contract that is spoken here. Its name stands in the database for ever.

    `kind` says which states its orders have and what their end releases. `default_rules` are the policy, unless a
    setting narrows it, and `default_permissions` those of a client that is given none. `api` makes the contract's
    calls, and `order_in_event` shows an order in an event, as the contract's own subscribers see it.
    """

    name: ContractName
    kind: OrderKind
    authentication: tuple[Authentication, ...]
    default_rules: Sequence[Mapping[str, object]]
    default_permissions: frozenset[Permission]
    api: "Callable[[Deployment], ApiModule]"
    order_in_event: "Callable[[OrderView], msgspec.Struct | Mapping[str, object]]"
    pages: frozenset[Page] = frozenset()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.channel == MANAGE:
            raise ValueError(
                "a contract's name must be a lower-case letter and up to 15 more, digits and _ among them, "
                f"and not {MANAGE!r}; {self.name!r} cannot be one"
            )

    @property
    def channel(self) -> Channel:
        """The channel of the contract's own calls."""
        return channel_of(self.name)

    @property
    def access(self) -> Access:
        """Who may call over the contract's channel."""
        return Access(
            channel=self.channel,
            authentication=self.authentication,
            default_permissions=self.default_permissions,
        )
