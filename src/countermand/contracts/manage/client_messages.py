"""What do clients and their credentials look like in the operator's API? All are ours."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from countermand.actions.identity.secrets import DEFAULT_OVERLAP_S, LONGEST_OVERLAP_S
from countermand.contracts.http.given_values import never_shown
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

Permissions = list[PermissionName]
_NOT_EMPTY: dict[str, object] = {"minItems": 1}  # the error names the permissions of the client's contract
ClientName = Annotated[str, Meta(description="The client's name, for people", min_length=1, max_length=200)]


class Jwk(Struct, kw_only=True, omit_defaults=True):
    """A public RSA key as a JWK (RFC 7517). Other members are ignored, but a private one is refused."""

    kty: Annotated[str, Meta(description="The type of the key, RSA")]
    n: Annotated[str, Meta(description="The key's modulus, in base64url")]
    e: Annotated[str, Meta(description="The key's exponent, in base64url")]
    kid: Annotated[
        str | None, Meta(description="The key's id, 1 to 64 visible ASCII characters; its thumbprint if left out")
    ] = None
    d: Annotated[str | None, Meta(description="The private exponent. It must be left out; the partner keeps it")] = None


PublicKey = Annotated[
    str | Jwk,
    Meta(
        description="The partner's own public RSA key, as PEM text or as a JWK, for a client whose tokens this service "
        "issues. A private key is refused",
        extra=never_shown("a public RSA key: PEM text, or a JWK with kty, n and e; the partner keeps the private key"),
    ),
]


class ClientGiven(Struct, kw_only=True):
    """The name of a new client, and its contract. Without permissions it gets the contract's default permissions.

    Clients of the shopping contract may not cancel by default. A client with access tokens has a public key, or an
    issuer and the name that the issuer uses; every other client gets a key and a secret.
    """

    contract: Annotated[str, Meta(description="The contract that the client calls, or manage for this API")]
    name: ClientName
    permissions: Annotated[
        Permissions | None,
        Meta(
            description="What the client may do, at least one permission; the contract's default permissions if it is "
            "left out",
            extra_json_schema=_NOT_EMPTY,
        ),
    ] = None
    redirect_url: DefaultRedirectUrl | None = None
    redirect_schemes: RedirectSchemes = []
    public_key: PublicKey | None = None
    client_id: Annotated[
        str | None,
        Meta(
            description="The partner's name in tokens; with a public key, a random name if it is left out. 1 to 64 "
            "letters, digits and . _ ~ @ -"
        ),
    ] = None
    issuer: Annotated[
        str | None,
        Meta(description="Who issues the client's tokens, if not this service; the configured issuer if left out"),
    ] = None


class ClientChange(Struct, kw_only=True):
    """What changes of a client: at least one field. A field that is left out stays as it is."""

    name: ClientName | None = None
    permissions: Annotated[
        Permissions | None,
        Meta(
            description="What the client may do from now on, at least one permission; the list replaces the old one",
            extra_json_schema=_NOT_EMPTY,
        ),
    ] = None


class Rotation(Struct, kw_only=True):
    """How long the old credential works beside the new one, or the new public key of a client with a key pair."""

    overlap_s: (
        Annotated[
            int,
            Meta(
                description=f"For how many seconds the old secret works, {DEFAULT_OVERLAP_S} if left out; 0 stops "
                "every older secret at once. While a secret from before a rotation works, only 0 is taken. Not for a "
                "client with a key pair",
                ge=0,
                le=LONGEST_OVERLAP_S,
            ),
        ]
        | None
    ) = None
    public_key: PublicKey | None = None
    keep_old: Annotated[
        bool,
        Meta(
            description="For a client with a key pair: its newest old key works until the next rotation. For a client "
            "with a secret, if the answer of its last rotation is lost: replaces only the newest secret, and the one "
            "from before works until its end"
        ),
    ] = False


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
    previous_secret_until: Annotated[
        datetime | None,
        Meta(description="Until when the secret from before the last rotation works, in UTC; null if none does"),
    ]
    last_used_at: Annotated[
        datetime | None,
        Meta(description="When the client called last, in UTC, without its calls of the last hour; null if not known"),
    ]
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
    """A client with its secret. `token` joins key and secret for a client of this API.

    A client with access tokens has no secret here, but a public key. Its private key is never answered.
    """

    client: Annotated[Client, Meta(description="Who the credential belongs to")]
    key: Annotated[
        str | None, Meta(description="The public half of the credential; null for a client with access tokens")
    ]
    secret: Annotated[
        str | None,
        Meta(
            description="The secret half of the credential. It is shown only once; null for a client with access tokens"
        ),
    ]
    token: Annotated[
        str | None,
        Meta(
            description="Key and secret as one bearer token, for a client of this API; null for a client of a contract"
        ),
    ]
    key_id: Annotated[
        str | None,
        Meta(description="The kid of the public key, for the header of assertions; null for a client without one"),
    ] = None
