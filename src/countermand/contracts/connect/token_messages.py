"""What do the bodies of the token endpoint look like? Each Struct builds and describes one body."""

from typing import Annotated

from msgspec import Meta, Struct, field


class TokenForm(Struct, kw_only=True):
    """The form of a token request. It only describes the form in the OpenAPI document; `_form` reads it."""

    grant_type: Annotated[str, Meta(description="Always client_credentials")]
    client_assertion_type: Annotated[
        str, Meta(description="Always urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    ]
    client_assertion: Annotated[
        str,
        Meta(
            description=(
                "The assertion: a JWT (RFC 7523), signed with RS256 by a registered key. Each assertion is used once"
            )
        ),
    ]
    client_id: Annotated[
        str | None, Meta(description="The client's id, the same as the assertion's iss; it may be left out")
    ] = None


class AccessToken(Struct, kw_only=True):
    """The reply, in Keycloak's shape (inferred)."""

    access_token: Annotated[
        str, Meta(description="The token for the header Authorization: Bearer. It is opaque to you")
    ]
    expires_in: Annotated[int, Meta(description="The lifetime of the token in seconds")]
    refresh_expires_in: Annotated[
        int, Meta(description="The lifetime of a refresh token in seconds; always 0, because there is none")
    ] = 0
    token_type: Annotated[str, Meta(description="Always Bearer")] = "Bearer"  # noqa: S105 - a kind of token
    not_before_policy: Annotated[
        int, Meta(description="Tokens from before this instant, in seconds since 1970, do not count; always 0")
    ] = field(name="not-before-policy", default=0)
    scope: Annotated[
        str, Meta(description="The scopes of the token; always empty, because permissions belong to the client")
    ] = ""


class TokenError(Struct, kw_only=True):
    """An error, in the form of RFC 6749, section 5.2."""

    error: Annotated[
        str,
        Meta(description="Why no token was issued; stable, for programs. The description of this API lists all codes"),
    ]
    error_description: Annotated[
        str, Meta(description="A sentence for people, in ASCII without quotation marks and backslashes")
    ]


class Configuration(Struct, kw_only=True):
    """The fields of OpenID Connect Discovery and RFC 8414 for which this service has a value."""

    issuer: Annotated[str, Meta(description="The issuer's name, which every token has as its iss")]
    token_endpoint: Annotated[str, Meta(description="The address that issues tokens")]
    jwks_uri: Annotated[str, Meta(description="The address of the public keys that verify tokens")]
    grant_types_supported: Annotated[list[str], Meta(description="The only value is client_credentials")]
    response_types_supported: Annotated[
        list[str], Meta(description="Empty, because there is no authorization endpoint")
    ]
    subject_types_supported: Annotated[list[str], Meta(description="The only value is public")]
    id_token_signing_alg_values_supported: Annotated[
        list[str], Meta(description="The algorithm that signs tokens; the only value is RS256")
    ]
    token_endpoint_auth_methods_supported: Annotated[
        list[str], Meta(description="How a client authenticates; the only value is private_key_jwt")
    ]
    token_endpoint_auth_signing_alg_values_supported: Annotated[
        list[str], Meta(description="The algorithm of an assertion; the only value is RS256")
    ]


class KeySet(Struct, kw_only=True):
    """Public keys, in the form of RFC 7517."""

    keys: Annotated[
        list[dict[str, str]],
        Meta(description="The public keys, each in the form of RFC 7517. A token's header names its key as kid"),
    ]
