"""What do clients and their credentials look like in the operator's API? All are ours."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from countermand.contracts.http.redirect_url import RedirectSchemes, RedirectUrl
from countermand.domain.client import Permission

DefaultRedirectUrl = Annotated[
    RedirectUrl, Meta(description="Where the buyer of an order that names no redirect_url is led back to")
]


PermissionName = Literal[
    "create",
    "read",
    "read_all",
    "cancel",
    "record",
    "administer",
    "money",
    "override",
    "plan",
    "approve",
    "endpoints",
    "subscribe",
    "forget",
    "act_as",
]
assert set(get_args(PermissionName)) == {one.value for one in Permission}


class ClientGiven(Struct, kw_only=True):
    """The name of a new client, and its contract. Without permissions it gets the contract's default permissions.

    Clients of the shopping contract may not cancel by default.
    """

    contract: Annotated[str, Meta(description="The contract that the client calls, or manage for this API")]
    name: Annotated[str, Meta(description="The client's name, for people", min_length=1, max_length=200)]
    permissions: Annotated[
        list[PermissionName],
        Meta(description="What the client may do; if the list is empty, the contract's default permissions"),
    ] = []
    redirect_url: DefaultRedirectUrl | None = None
    redirect_schemes: RedirectSchemes = []


class RedirectsGiven(Struct, kw_only=True):
    """Where the buyers of a client may be led back to. A field that is left out is emptied."""

    redirect_url: DefaultRedirectUrl | None = None
    redirect_schemes: RedirectSchemes = []


class Client(Struct, kw_only=True):
    """A client and the credential that identifies it: a key, or an identity (issuer and name)."""

    id: Annotated[int, Meta(description="The client's id")]
    contract: Annotated[str, Meta(description="The contract that the client calls, or manage for this API")]
    name: Annotated[str, Meta(description="The client's name, for people")]
    permissions: Annotated[list[str], Meta(description="What the client may do, sorted by name")]
    key: Annotated[
        str | None, Meta(description="The public half of the client's credential; null for a client with an identity")
    ]
    identity: Annotated[
        list[str] | None,
        Meta(description="The issuer of the client's tokens and its name there; null for a client with a key"),
    ]
    created_at: Annotated[datetime, Meta(description="When the client was added, in UTC")]
    revoked_at: Annotated[datetime | None, Meta(description="When the client was revoked, in UTC; null if it may call")]
    redirect_url: Annotated[
        str | None,
        Meta(description="Where the buyer of an order that names no redirect_url is led back to; null for nowhere"),
    ]
    redirect_schemes: Annotated[
        list[str], Meta(description="The schemes that a redirect_url may have beside http and https")
    ]


class Clients(Struct, kw_only=True):
    """All clients, including revoked ones."""

    clients: Annotated[list[Client], Meta(description="All clients, including revoked ones, sorted by id")]


class KeyedClient(Struct, kw_only=True):
    """A client with its secret. `token` joins key and secret for a client of this API."""

    client: Annotated[Client, Meta(description="Who the credential belongs to")]
    key: Annotated[str, Meta(description="The public half of the credential")]
    secret: Annotated[str, Meta(description="The secret half of the credential. It is shown only once")]
    token: Annotated[
        str | None,
        Meta(
            description="Key and secret as one bearer token, for a client of this API; null for a client of a contract"
        ),
    ]
