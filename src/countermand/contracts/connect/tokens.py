"""How does a partner get an access token, and where are the keys that verify it? Paths and answers are Keycloak's.

The token endpoint is documented (`private_key_jwt`, the path); the reply's shape is inferred from Keycloak, and errors
follow RFC 6749. This module does no I/O: `TokenEndpoint` verifies assertions.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qsl

from countermand.actions import errors
from countermand.contracts.connect.contract import CHANNEL
from countermand.contracts.connect.token_messages import AccessToken, Configuration, KeySet, TokenError, TokenForm
from countermand.contracts.http import answer
from countermand.contracts.http.answer import Answer, MalformedRequestError, error_headers, json_answer, plain_text
from countermand.contracts.http.api_module import NOT_AFFILIATED, ApiModule
from countermand.contracts.http.calls import Call, CallRules, OpenCall, OpenContext, Request
from countermand.contracts.http.cancel_endpoint import bearer
from countermand.contracts.http.encodings import what_it_is
from countermand.contracts.http.error_codes import ErrorCode, error_codes
from countermand.contracts.http.examples import Examples
from countermand.contracts.http.openapi import NoPermission, Operation, Reply

FORM: Final = "application/x-www-form-urlencoded"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT_TYPE: Final = "client_credentials"
_FIELDS_CAP: Final = 50
_SCHEME: Final = re.compile("[A-Za-z0-9-]{1,40}")
_NOT_STORED: Final = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
# The time is shorter than the overlap of a rotation, so that a reader with cached keys knows a new key before it signs.
_REMEMBERED: Final = ((b"cache-control", b"public, max-age=300"),)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRequest:
    """A partner's request for a token. `peer` is the address of the connection, which may be a proxy's."""

    assertion: str = field(repr=False)
    client_id: str | None
    peer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """An access token, and its lifetime in seconds."""

    access_token: str = field(repr=False)
    expires_in_s: int


class TokenEndpoint(Protocol):
    """Issues tokens. `identity/token_issuer.py` implements it."""

    realm: str
    issuer: str
    token_url: str
    key_set_url: str

    async def token(self, request: TokenRequest) -> Issued:
        """Exchange an assertion for a token. Raises `NotAuthenticatedError`, `UnavailableError`."""
        ...

    async def published(self) -> bytes:
        """Return the public parts of the keys that count, as a JWK set. Raises `UnavailableError`."""
        ...


# A wrong media type is a malformed request, because RFC 6749 has no 415. If a commit was cut off, no token was issued.
_STATUS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    answer.MalformedRequestError: (400, "invalid_request"),
    answer.UnsupportedMediaTypeError: (400, "invalid_request"),
    answer.MethodNotAllowedError: (405, "invalid_request"),
    answer.BodyTooLargeError: (413, "invalid_request"),
    errors.NotAuthenticatedError: (401, "invalid_client"),
    errors.NotFoundError: (404, "not_found"),
    answer.NoSuchPathError: (404, "not_found"),
    errors.UnavailableError: (503, "temporarily_unavailable"),
    errors.HeldError: (503, "temporarily_unavailable"),
    errors.KeySetUnavailableError: (503, "temporarily_unavailable"),
}
_UNEXPECTED: Final = (500, "server_error")
ERROR_CODES: Final = error_codes(
    _STATUS,
    _UNEXPECTED,
    [ErrorCode(status=400, code="unsupported_grant_type", meaning="The grant_type is not client_credentials.")],
)


def token_path(realm: str) -> str:
    """Return the path of the token endpoint; for the realm `superloop` it is the documented path."""
    return f"{realm_path(realm)}/protocol/openid-connect/token"


def realm_path(realm: str) -> str:
    """Return the path of the issuer."""
    return f"/auth/realms/{realm}"


def error_answer(error: Exception) -> Answer:
    """Return an error as OAuth writes it. The answer to a bug says nothing about the bug."""
    status, code = _STATUS.get(type(error), _UNEXPECTED)
    said = str(error) if type(error) in _STATUS else "there was an unexpected error processing the request"
    # Only a client that tried a scheme of HTTP gets a challenge (RFC 6749, section 5.2); assertions have no scheme.
    return _oauth_error(status, code, said, error_headers(error, scheme="", realm="tokens"))


# All calls are open: no call needs a credential of the contract, and none stores anything.
RULES: Final = CallRules(channel=CHANNEL, credential=bearer, error_answer=error_answer, kept_refusals=frozenset())


@dataclass(frozen=True, slots=True)
class TokenCalls:
    """The three calls of this service's own realm."""

    endpoint: TokenEndpoint

    def calls(self) -> tuple[Call, ...]:
        """Return the three calls with their handlers."""
        token, configuration, keys = _operations(self.endpoint.realm)
        return (
            OpenCall(operation=token, handle=self._token),
            OpenCall(operation=configuration, handle=self._configuration),
            OpenCall(operation=keys, handle=self._keys),
        )

    async def _token(self, context: OpenContext) -> Answer:
        return await _exchange(context.request, self.endpoint)

    async def _configuration(self, _: OpenContext) -> Answer:
        return json_answer(200, _configuration(self.endpoint), headers=_REMEMBERED)

    async def _keys(self, _: OpenContext) -> Answer:
        return Answer(200, (*_REMEMBERED, (b"content-type", answer.JSON.encode())), await self.endpoint.published())


async def _exchange(request: Request, endpoint: TokenEndpoint) -> Answer:
    form = _form(request)
    match form.get("grant_type"):
        case None:
            raise MalformedRequestError("the field grant_type is missing")
        case other if other != GRANT_TYPE:
            return _oauth_error(400, "unsupported_grant_type", f"grant_type must be {GRANT_TYPE}")
    tried = _scheme_tried(request.headers)
    for name in ("client_assertion_type", "client_assertion"):
        if name not in form and tried:
            said = f"the field {name} is missing: authenticate with private_key_jwt, not with {tried}"
            raise errors.NotAuthenticatedError(said, scheme=tried)
        if name not in form:
            raise MalformedRequestError(f"the field {name} is missing")
    if form["client_assertion_type"] != ASSERTION_TYPE:
        raise errors.NotAuthenticatedError(f"client_assertion_type must be {ASSERTION_TYPE}", scheme=tried)
    asked = TokenRequest(assertion=form["client_assertion"], client_id=form.get("client_id"), peer=request.peer)
    try:
        issued = await endpoint.token(asked)
    except errors.NotAuthenticatedError as error:
        error.scheme = tried
        raise
    reply = AccessToken(access_token=issued.access_token, expires_in=issued.expires_in_s)
    return json_answer(200, reply, headers=_NOT_STORED)


def _form(request: Request) -> Mapping[str, str]:
    """Return the fields of the body; fields without a value count as missing (RFC 6749, section 3.2)."""
    media_type, *_ = request.headers.get(b"content-type", b"").decode("latin-1").split(";")
    if media_type.strip().lower() != FORM:
        raise MalformedRequestError(f"the body must be {FORM}")
    try:
        fields = parse_qsl(request.body.decode(), errors="strict", max_num_fields=_FIELDS_CAP)
    except UnicodeDecodeError:
        raise MalformedRequestError(what_it_is(request.body) or "the body is not UTF-8") from None
    except ValueError:
        raise MalformedRequestError(f"the body has more than {_FIELDS_CAP} fields") from None
    form: dict[str, str] = {}
    for name, value in fields:
        if name in form:
            raise MalformedRequestError(f"the field {name[:60]} appears twice")
        form[name] = value
    return form


def _scheme_tried(headers: Mapping[bytes, bytes]) -> str:
    """Return the scheme of an `Authorization` that a client sent, or "" without one, or if its name is not allowed."""
    scheme = headers.get(b"authorization", b"").strip().partition(b" ")[0].decode("latin-1")
    return scheme if _SCHEME.fullmatch(scheme) else ""


def _oauth_error(status: int, code: str, said: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    content = TokenError(error=code, error_description=plain_text(said))
    return json_answer(status, content, headers=(*_NOT_STORED, *headers))


def _configuration(endpoint: TokenEndpoint) -> Configuration:
    return Configuration(
        issuer=endpoint.issuer,
        token_endpoint=endpoint.token_url,
        jwks_uri=endpoint.key_set_url,
        grant_types_supported=[GRANT_TYPE],
        response_types_supported=[],
        subject_types_supported=["public"],
        id_token_signing_alg_values_supported=["RS256"],
        token_endpoint_auth_methods_supported=["private_key_jwt"],
        token_endpoint_auth_signing_alg_values_supported=["RS256"],
    )


def _operations(realm: str) -> tuple[Operation, Operation, Operation]:
    root = realm_path(realm)
    failed = {
        500: Reply(when="There was an unexpected error", message=TokenError),
        503: Reply(
            when="No token was given. Send the request again, with a new assertion.",
            message=TokenError,
            headers={"Retry-After": "seconds"},
        ),
    }
    return (
        Operation(
            name="getAccessToken",
            permission=NoPermission("the assertion names the client"),
            tag="tokens",
            method="POST",
            path=token_path(realm),
            summary="Get an access token",
            description=(
                "`grant_type` is `client_credentials`; `client_assertion` is a JWT (RFC 7523), signed with RS256, "
                "by a registered key; its header may have the key's `kid`. "
                "Its claims: `iss` and `sub`, both the client's id; "
                "`aud`, this address or the issuer; `jti`, used once; `exp`; `nbf` or `iat`, at most 30,000 seconds "
                "before `exp`."
            ),
            replies={
                200: Reply(when="An access token", message=AccessToken),
                400: Reply(when="The form or its grant_type is invalid", message=TokenError),
                401: Reply(
                    when="The assertion is invalid",
                    message=TokenError,
                    headers={"WWW-Authenticate": "the scheme of the request's Authorization header, if it had one"},
                ),
                413: Reply(when="The body is over 64 KiB", message=TokenError),
                **failed,
            },
            request=TokenForm,
            request_media_type=FORM,
        ),
        Operation(
            name="getConfiguration",
            permission=NoPermission("every service that verifies the tokens must read it"),
            tag="tokens",
            method="GET",
            path=f"{root}/.well-known/openid-configuration",
            summary="Read the addresses of the token endpoint and of the keys",
            description="OpenID Connect Discovery, for services that verify access tokens of this issuer.",
            replies={200: Reply(when="The configuration", message=Configuration)},
        ),
        Operation(
            name="getKeySet",
            permission=NoPermission("the keys are public"),
            tag="tokens",
            method="GET",
            path=f"{root}/protocol/openid-connect/certs",
            summary="Read the public keys that verify access tokens",
            description="A JWK set. A new key appears here before it signs its first token.",
            replies={200: Reply(when="The keys", message=KeySet), **failed},
        ),
    )


def api_module(endpoint: TokenEndpoint) -> ApiModule:
    """Return the token endpoint of the connect contract. Its path is not below `/api`, and its errors are OAuth's."""
    return ApiModule(
        name="tokens",
        title="Countermand: access tokens for connect",
        about=NOT_AFFILIATED + "OAuth 2 client credentials with `private_key_jwt`; no call here needs a token.",
        prefix="/auth/",
        calls=TokenCalls(endpoint).calls(),
        rules=RULES,
        cancel=None,
        security={},
        error_codes=ERROR_CODES,
        examples=Examples(Path(__file__).with_name("token_examples.json")),
    )
