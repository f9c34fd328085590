"""Makes the answer of a list in slices, so that a list of large items does not hold the event loop."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar, cast

import msgspec

from countermand.actions.slices import Slices
from countermand.contracts.http.answer import JSON, Answer

Item = TypeVar("Item")
Message = TypeVar("Message")

PIECE_BYTES: Final = 64 * 1024
_ITEMS_HERE: Final = b"\0"  # a byte that JSON never has: the place of the items in the list's message


async def list_answer(
    items: Iterable[Item],
    shown: Callable[[Item], Message],
    whole: Callable[[list[Message]], object],
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    media_type: str = JSON,
) -> Answer:
    """Return the answer 200 with the message that `whole` makes of the messages of all items.

    The items are encoded one by one, and a long body stays in pieces, because to join megabytes takes long, too.
    """
    slices = Slices()
    frame = msgspec.json.encode(whole(cast("list[Message]", [msgspec.Raw(_ITEMS_HERE)])))
    before, _, after = frame.partition(_ITEMS_HERE)
    pieces, piece = [], bytearray(before)
    for number, item in enumerate(items):
        piece += b"," if number else b""
        piece += msgspec.json.encode(shown(item))
        while len(piece) >= PIECE_BYTES:
            pieces.append(bytes(piece[:PIECE_BYTES]))
            del piece[:PIECE_BYTES]
        await slices.pause()
    body, *rest = [*pieces, bytes(piece) + after]
    return Answer(200, (*headers, (b"content-type", media_type.encode())), body, tuple(rest))
