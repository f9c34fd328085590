"""What goes back to the caller, and which requests are no requests of a contract at all?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from litestar.types import Receive, Scope, Send

from countermand.actions.errors import CountermandError, NotAuthenticatedError, UnavailableError

JSON: Final = "application/json"
HAL: Final = "application/hal+json"
BASIC: Final = "Basic"
BEARER: Final = "Bearer"
_NO_CONTENT: Final = 204
_NOT_STORED: Final = (b"cache-control", b"no-store")
_USUAL: Final = frozenset({b"", b"application/json", b"application/json;charset=UTF-8"})  # needs no parsing


class MethodNotAllowedError(CountermandError):
    """405: the path is known, the method is not one of `allow`."""

    def __init__(self, method: str, allow: Iterable[str]) -> None:
        self.allow = ", ".join(sorted(allow))
        super().__init__(f"the method {method} is not allowed here; allowed: {self.allow}")


class BodyTooLargeError(CountermandError):
    """413: the body has more bytes than `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class UnsupportedMediaTypeError(CountermandError):
    """415: the body is said to be something else than JSON in UTF-8."""

    def __init__(self, given: str) -> None:
        super().__init__(f"the body must be application/json, not {given!r}")


class MalformedRequestError(CountermandError):
    """400: the request cannot be read, or a header does not hold. The message names what and where."""


class ForbiddenError(CountermandError):
    """403: the caller is known and may not do this. A contract that hides it answers as for what is not there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, header lines and a body. It is an ASGI application, too: it answers every request with itself."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def with_headers(self, *headers: tuple[bytes, bytes]) -> "Answer":
        """The same answer with more header lines."""
        return Answer(self.status, (*self.headers, *headers), self.body)

    def sent_headers(self) -> list[tuple[bytes, bytes]]:
        """The header lines to send. Caches may keep no answer but those that say so: most hold personal data."""
        headers = list(self.headers)
        for name, _ in headers:
            if name == b"cache-control":
                break
        else:
            headers.append(_NOT_STORED)
        return headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Send it, with a Content-Length: without one, the server would send an empty body in chunks."""
        headers = self.sent_headers()
        if self.status != _NO_CONTENT:  # which has no body, and must not say how long it is
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class JsonObject(dict[str, object]):
    """An object of JSON values, by name. The OpenAPI document describes it as an object, and no more."""


def json_answer(
    status: int, content: object, *, headers: tuple[tuple[bytes, bytes], ...] = (), media_type: str = JSON
) -> Answer:
    """An answer with a JSON body: a message Struct, or plain values."""
    return Answer(status, (*headers, (b"content-type", media_type.encode())), msgspec.json.encode(content))


def error_headers(error: Exception, *, scheme: str, realm: str = "") -> tuple[tuple[bytes, bytes], ...]:
    """The headers that HTTP itself asks for with an error.

    `scheme` is how a contract wants callers to authenticate who have not tried to; "" asks them for nothing.
    """
    match error:
        case NotAuthenticatedError():
            return _challenge(error, error.scheme or scheme, realm)
        case MethodNotAllowedError(allow=allow):
            return ((b"allow", allow.encode()),)
        case UnavailableError(retry_after_s=seconds):
            return ((b"retry-after", b"%d" % seconds),)
    return ()


def _challenge(error: NotAuthenticatedError, scheme: str, realm: str) -> tuple[tuple[bytes, bytes], ...]:
    """What to authenticate with. A browser that reads `Basic` asks its user for a password, whatever the page wanted.

    Where a bearer token was sent, RFC 6750, section 3, wants an error; where none was, it wants none.
    """
    if not scheme:
        return ()
    said = {"realm": realm} if realm else {}
    if error.refused and scheme == BEARER:
        said |= {"error": "invalid_token", "error_description": plain_text(str(error))}
    parameters = ", ".join(f'{name}="{value}"' for name, value in said.items())
    return ((b"www-authenticate", f"{scheme} {parameters}".rstrip().encode()),)


def plain_text(said: str) -> str:
    """A text as OAuth wants its descriptions (RFC 6749, section 5.2): ASCII without quotation marks and backslashes."""
    return "".join(one if " " <= one <= "~" else "?" for one in said.replace('"', "'").replace("\\", "/"))


def headers_of(scope: Scope) -> Mapping[bytes, bytes]:
    """The request's headers by lower-case name. A header sent twice is the list of both, as HTTP reads it."""
    given = scope["headers"]
    if not isinstance(given, list):  # ASGI lets it be any iterable; servers give a list
        given = list(given)
    headers = dict(given)
    if len(headers) == len(given):
        return headers
    headers = {}
    for name, value in given:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def check_media_type(headers: Mapping[bytes, bytes], *, also: tuple[str, ...] = ()) -> None:
    """Let JSON in UTF-8 pass, or no media type at all, as in the shopping page's own example (shopping decision 22)."""
    sent = headers.get(b"content-type", b"")
    if sent in _USUAL:
        return
    given = sent.decode("latin-1").strip()
    media_type, *parameters = (part.strip().lower() for part in given.split(";"))
    charsets = [p.removeprefix("charset=").strip('"') for p in parameters if p.startswith("charset=")]
    if media_type not in {JSON, *also} or any(charset not in {"utf-8", "utf8"} for charset in charsets):
        raise UnsupportedMediaTypeError(given)


# Stored with an idempotency key, and sent again as it is.
class _Stored(msgspec.Struct):
    status: int
    headers: list[tuple[str, str]]
    body: str


def stored(answer: Answer) -> bytes:
    """An answer as bytes to keep."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
    return msgspec.json.encode(_Stored(answer.status, headers, answer.body.decode()))


def restored(kept: bytes) -> Answer:
    """The answer that was kept."""
    it = msgspec.json.decode(kept, type=_Stored)
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in it.headers)
    return Answer(it.status, headers, it.body.encode())
