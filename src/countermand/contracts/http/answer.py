"""Builds the answers to requests, and checks the headers of requests. Its errors are those of HTTP itself."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from litestar.types import Receive, Scope, Send

from countermand.actions.errors import CountermandError, NotAuthenticatedError, UnavailableError
from countermand.contracts.http.encodings import compression_of, named

JSON: Final = "application/json"
HAL: Final = "application/hal+json"
BASIC: Final = "Basic"
BEARER: Final = "Bearer"
_NO_CONTENT: Final = 204
_NOT_STORED: Final = (b"cache-control", b"no-store")
_USUAL: Final = frozenset({b"", b"application/json", b"application/json;charset=UTF-8"})  # these need no parsing


class MethodNotAllowedError(CountermandError):
    """405: the path exists, but it takes only the methods in `allow`."""

    def __init__(self, method: str, allow: Iterable[str]) -> None:
        self.allow = ", ".join(sorted(allow))
        super().__init__(f"the method {method} is not allowed here; allowed: {self.allow}")


class NoSuchPathError(CountermandError):
    """404: no call and no page has the path of the request, so the request is about nothing. The message says so."""


class BodyTooLargeError(CountermandError):
    """413: the body has more bytes than `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class UnsupportedMediaTypeError(CountermandError):
    """415: the request says that its body is something other than JSON in UTF-8.

    `compression` is what the body is compressed with, `charset` the character set that it is in.
    """

    def __init__(self, given: str = "", *, compression: str = "", charset: str = "") -> None:
        self.is_compressed = bool(compression)
        said = f"the body must be application/json, not {given!r}"
        if compression:
            said = f"the body is compressed with {named(compression)}; send it uncompressed"
        elif charset:
            said = f"the body must be in UTF-8, not in {named(charset)}"
        super().__init__(said)


class MalformedRequestError(CountermandError):
    """400: the request cannot be read, or a header is wrong. The message names the error and its place."""


class ForbiddenError(CountermandError):
    """403: the caller is known, but may not do this.

    A contract that hides the difference answers as for `NotFoundError`.
    """


class Answer(msgspec.Struct, frozen=True):
    """A status, header lines and a body. It is also an ASGI application, which answers every request with itself.

    The body of a long list continues in `more_body`. Such an answer is sent by `web/long_answers.py` only. An answer
    that is not `storable` is stored under no key.
    A Struct is made in a tenth of the time that a frozen dataclass takes, and each request makes two.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    more_body: tuple[bytes, ...] = ()
    storable: bool = True

    def with_headers(self, *headers: tuple[bytes, bytes]) -> "Answer":
        """Return the same answer with more header lines."""
        return Answer(self.status, (*self.headers, *headers), self.body, self.more_body, self.storable)

    def sent_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the header lines to send.

        Caches must not store an answer, unless it says so: most have personal data.
        """
        headers = list(self.headers)
        for name, _ in headers:
            if name == b"cache-control":
                break
        else:
            headers.append(_NOT_STORED)
        return headers

    def framed_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the header lines to send, with the Content-Length if the answer has a body."""
        headers = self.sent_headers()
        if self.status != _NO_CONTENT:  # a 204 has no body, and must not have a length
            headers.append((b"content-length", b"%d" % len(self.body)))
        return headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Send the answer with a Content-Length. Without that header, the server would send an empty body in chunks."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.framed_headers()})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class JsonObject(dict[str, object]):
    """An object of JSON values, by name. The OpenAPI document describes it as an object, and no more."""


def json_answer(
    status: int, content: object, *, headers: tuple[tuple[bytes, bytes], ...] = (), media_type: str = JSON
) -> Answer:
    """Return an answer with a JSON body: a message Struct, or plain values."""
    return Answer(status, (*headers, (b"content-type", media_type.encode())), msgspec.json.encode(content))


def indented(content: object) -> str:
    """Return the body that `json_answer` gives, indented for people."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def error_headers(error: Exception, *, scheme: str, realm: str = "") -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that HTTP itself requires with an error.

    `scheme` is the contract's authentication scheme, which a caller that tried none gets; with "", the answer names
    none.
    """
    match error:
        case NotAuthenticatedError():
            return _challenge(error, error.scheme or scheme, realm)
        case MethodNotAllowedError(allow=allow):
            return ((b"allow", allow.encode()),)
        case UnsupportedMediaTypeError(is_compressed=True):
            return ((b"accept-encoding", b"identity"),)  # RFC 9110, section 15.5.16
        case UnavailableError(retry_after_s=seconds):
            return ((b"retry-after", b"%d" % seconds),)
    return ()


def _challenge(error: NotAuthenticatedError, scheme: str, realm: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header that says how to authenticate.

    On `Basic`, a browser asks its user for a password, whatever the page wants.

    If a bearer token was sent, RFC 6750, section 3, requires an error; if none was sent, it requires that there is
    none.
    """
    if not scheme:
        return ()
    said = {"realm": realm} if realm else {}
    if error.refused and scheme == BEARER:
        said |= {"error": "invalid_token", "error_description": plain_text(str(error))}
    parameters = ", ".join(f'{name}="{value}"' for name, value in said.items())
    return ((b"www-authenticate", f"{scheme} {parameters}".rstrip().encode()),)


def plain_text(said: str) -> str:
    """Return a text as OAuth wants its descriptions (RFC 6749, section 5.2):

    ASCII without quotation marks and backslashes.
    """
    return "".join(one if " " <= one <= "~" else "?" for one in said.replace('"', "'").replace("\\", "/"))


def headers_of(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the request's headers by lower-case name.

    As HTTP reads it, a header that was sent twice is the list of both.
    """
    given = scope["headers"]
    if not isinstance(given, list):  # ASGI allows any iterable; servers pass a list
        given = list(given)
    headers = dict(given)
    if len(headers) == len(given):
        return headers
    headers = {}
    for name, value in given:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def check_media_type(headers: Mapping[bytes, bytes], *, also: tuple[str, ...] = ()) -> None:
    """Accept JSON in UTF-8, or no media type at all, as in the shopping page's own example (shopping decision 22).

    Raises `UnsupportedMediaTypeError`.
    """
    if b"content-encoding" in headers and (compression := compression_of(headers)) is not None:
        raise UnsupportedMediaTypeError(compression=compression)
    sent = headers.get(b"content-type", b"")
    if sent in _USUAL:
        return
    given = sent.decode("latin-1").strip()
    media_type, *parameters = (part.strip().lower() for part in given.split(";"))
    charsets = [p.removeprefix("charset=").strip('"') for p in parameters if p.startswith("charset=")]
    if media_type not in {JSON, *also}:
        raise UnsupportedMediaTypeError(given)
    for charset in charsets:
        if charset not in {"utf-8", "utf8"}:
            raise UnsupportedMediaTypeError(charset=charset)


# An answer as it is stored with an idempotency key, and sent again unchanged.
class _Stored(msgspec.Struct):
    status: int
    headers: list[tuple[str, str]]
    body: str


def stored(answer: Answer) -> bytes | None:
    """Return an answer as bytes to store, or None if it must not be stored."""
    if not answer.storable:
        return None
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
    return msgspec.json.encode(_Stored(answer.status, headers, answer.body.decode()))


def restored(kept: bytes) -> Answer:
    """Return the answer that was stored as these bytes."""
    it = msgspec.json.decode(kept, type=_Stored)
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in it.headers)
    return Answer(it.status, headers, it.body.encode())
