"""The declaration of a contract: everything that the rest of the service knows about it.

A declaration imports little, so that the command line can name the contracts in its help. Only the functions
`api`, `order_in_event` and `dialects` of `Contract` import the contract's calls and messages, when they are called.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeVar

from countermand.domain.client import Permission
from countermand.domain.contract import CONTRACT_NAME_PATTERN, MANAGE, PARTNER, Channel, ContractName, channel_of
from countermand.domain.orders.order_kind import OrderKind

if TYPE_CHECKING:  # modules that need the framework are imported when a service is built
    from countermand.actions.delivering.dialects import Dialect, ShownOrder
    from countermand.actions.ordering.views import OrderView
    from countermand.contracts.http.api_module import ApiModule

Terms = TypeVar("Terms")

_NAME: Final = re.compile(CONTRACT_NAME_PATTERN)


class Authentication(Enum):
    """A way to authenticate. `identity/authentication.py` knows which credential each way needs."""

    ACCESS_TOKEN = auto()  # an issuer's bearer token, in which a claim names the client
    KEY_AND_SECRET = auto()  # in `Authorization: Basic`
    KEY_SECRET_TOKEN = auto()  # key and secret as one bearer token, with a dot between them
    BROWSER_TOKEN = auto()  # a bearer token signed with a client's secret


class Page(Enum):
    """A page of this service for buyers, which the orders of a contract may have."""

    PAYMENT = auto()  # the sandbox's page
    ETICKETS = auto()


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may call over a channel: the ways to authenticate, and the permissions of a client.

    A client has the default permissions unless others are named, which may be `more_permissions`, too.
    """

    channel: Channel
    authentication: tuple[Authentication, ...]
    default_permissions: frozenset[Permission]
    leads_back: bool = False  # whether the orders of its clients have a payment page, which leads back to the shop
    more_permissions: frozenset[Permission] = frozenset()

    def unknown(self, given: Iterable[Permission]) -> str | None:
        """Return a sentence about the first permission that no call of this channel asks for; None without any."""
        known = self.default_permissions | self.more_permissions
        strange = next((one for one in given if one not in known), None)
        if strange is None:
            return None
        return f"a {self.channel} client cannot have the permission {strange}; it can have {self.possible}"

    @property
    def possible(self) -> str:
        """The permissions that a client of this channel can have, as text."""
        return ", ".join(one for one in Permission if one in self.default_permissions | self.more_permissions)

    @property
    def has_secrets(self) -> bool:
        """Whether the clients have a key and a secret. Otherwise the tokens of an issuer name them."""
        return Authentication.ACCESS_TOKEN not in self.authentication

    @property
    def joins_secrets(self) -> bool:
        """Whether the clients call with their key and secret as one token."""
        return Authentication.KEY_SECRET_TOKEN in self.authentication


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a contract needs to build its calls: the address of the service, and the operator's terms.

    `public_url` has no trailing slash. A contract with settings of its own has a class of terms, and bootstrap makes an
    object of it.
    """

    public_url: str
    terms: Sequence[object] = ()

    def terms_of(self, kind: type[Terms]) -> Terms:
        """Return the terms of a contract. Raises `LookupError` if bootstrap made none."""
        for one in self.terms:
            if isinstance(one, kind):
                return one
        raise LookupError(f"the deployment has no {kind.__name__}")


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A published contract that this service offers. The database keeps its name for ever.

    `kind` decides which states its orders have and what they release when they end. `default_rules` are the policy,
    unless a setting narrows it. `default_permissions` are those of a client that was added without any, and
    `more_permissions` the others that its calls know. `api` builds the contract's calls. `order_in_event` returns an
    order as it appears in an event: whole, as its owner reads it, and as a link. `dialects` returns the contract's own
    dialects for webhooks. `payment_window` returns how long a new order can be paid; it is None if orders do not
    expire.
    """

    name: ContractName
    kind: OrderKind
    authentication: tuple[Authentication, ...]
    default_rules: Sequence[Mapping[str, object]]
    default_permissions: frozenset[Permission]
    api: "Callable[[Deployment], ApiModule]"
    order_in_event: "Callable[[OrderView, Deployment], ShownOrder]"
    dialects: "Callable[[], Sequence[Dialect]]" = tuple
    pages: frozenset[Page] = frozenset()
    payment_window: "Callable[[Deployment], timedelta] | None" = None
    more_permissions: frozenset[Permission] = frozenset()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.channel in {MANAGE, PARTNER}:
            raise ValueError(
                "a contract's name must be a lower-case letter and up to 15 more, digits and _ among them, "
                f"and not {MANAGE!r} or {PARTNER!r}; {self.name!r} cannot be one"
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
            leads_back=Page.PAYMENT in self.pages,
            more_permissions=self.more_permissions,
        )
