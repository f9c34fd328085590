"""What does an event say in the dialects of published standards? The same data, in different envelopes."""

from collections.abc import Callable
from typing import Final

import msgspec

from countermand.actions.delivering.dialects import EventToSend
from countermand.domain.delivering.endpoint import SUBSCRIBABLE_KINDS, EndpointEventKind

JSON: Final = "application/json"
KINDS: Final = frozenset({*SUBSCRIBABLE_KINDS, EndpointEventKind.TEST.value})

# Names that the data has beside the fields of the order. No contract's order may have a field with such a name.
ORDER: Final = "order"
VERSION: Final = "version"
DETAILS: Final = "details"
CURRENT_VERSION: Final = "current_version"
RESERVED: Final = frozenset({ORDER, VERSION, DETAILS, CURRENT_VERSION})

# The names in a dict are sorted and the fields of a struct have their stated sequence. So the bytes depend on the
# content alone, and not on the database or the node.
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


def event_data(event: EventToSend, *, thin: bool) -> dict[str, object]:
    """Return what happened, and the order with its current version: whole, or, in a thin event, as a link.

    An event about an endpoint has neither an order nor versions. An order of a contract that this node does not have is
    not shown.
    """
    shown = event.shown
    order = {} if shown is None else shown.link if thin else shown.whole
    return {
        **order,
        ORDER: event.order,
        VERSION: None if event.order is None else event.version,
        DETAILS: dict(event.details),
        CURRENT_VERSION: None if shown is None else shown.version,
    }


def encoded(body: Callable[[bool], object], *, thin: bool, at_most: int) -> bytes:
    """Return the bytes of a body. `body` returns it, and is told whether the body is thin.

    A body that would be larger than `at_most` bytes is thin, too.
    """
    written = _ENCODER.encode(body(thin))
    return written if thin or len(written) <= at_most else _ENCODER.encode(body(True))


def says(kind: str, _: object) -> bool:
    """Return whether the dialects of standards have words for a kind: for all kinds that this version knows."""
    return kind in KINDS
