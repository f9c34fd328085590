"""How does a body come in, bounded, whoever speaks next?"""

from collections.abc import Mapping

from litestar.types import Receive

from countermand.contracts.http.answer import BodyTooLargeError
from countermand.contracts.http.body import BODY_CAP_BYTES


class ClientGoneError(Exception):
    """The caller closed the connection before its request was whole: nobody is there to answer."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """The whole body. Raises `BodyTooLargeError` as soon as it is known to be over 64 KiB."""
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
