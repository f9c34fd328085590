"""Reads the body of a request, up to 64 KiB."""

from collections.abc import Mapping

from litestar.types import Receive

from countermand.contracts.http.answer import BodyTooLargeError
from countermand.contracts.http.body import BODY_CAP_BYTES


class ClientGoneError(Exception):
    """Raised when the client closes the connection before its request is complete. No answer can be sent."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Return the whole body.

    Raises `BodyTooLargeError` as soon as the body is known to be over 64 KiB, and `ClientGoneError` if the client
    disconnects first.
    """
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced[:20]) > BODY_CAP_BYTES:
        raise BodyTooLargeError(BODY_CAP_BYTES)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body = message.get("body", b"")  # the common case: one piece
    else:
        pieces, size = [], 0
        while True:
            if message["type"] != "http.request":
                raise ClientGoneError
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > BODY_CAP_BYTES:
                raise BodyTooLargeError(BODY_CAP_BYTES)
            if not message.get("more_body", False):
                break
            message = await receive()
        body = b"".join(pieces)
    if len(body) > BODY_CAP_BYTES:
        raise BodyTooLargeError(BODY_CAP_BYTES)
    return body
