"""Encodes, decodes and changes the JSON of order documents and consumers.

No other module knows this JSON, except for the paths that lists filter by (`tickets.py`).
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from countermand.domain.known import Unknown
from countermand.domain.money import LARGEST_MINOR, Money
from countermand.domain.orders.order_details import (
    OrderDetails,
    ServiceOrderDetails,
    TicketOrderDetails,
    UnknownDetails,
    details_type_of,
)
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.ticketing.consumer import Consumer

_DECODERS: Final[Mapping[type[Struct], msgspec.json.Decoder[Any]]] = {
    one: msgspec.json.Decoder(one) for one in (ServiceOrderDetails, TicketOrderDetails, Consumer)
}
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_ITEMS: Final = msgspec.json.Decoder(list[Raw])
_SEQUENCES: Final = (list, tuple)


def encoded_document(document: Struct) -> str:
    """Return a new document as JSON text."""
    assert not isinstance(document, UnknownDetails), "a new order has details that this version can read"
    return msgspec.json.encode(document).decode()


def decoded_details(kind: OrderKind | Unknown, text: str) -> OrderDetails:
    """Return the details of an order of this kind; `UnknownDetails` if this version cannot read the text."""
    details_type = details_type_of(kind)
    if details_type is None:
        return UnknownDetails()
    try:
        details: OrderDetails = _DECODERS[details_type].decode(text)
    except msgspec.DecodeError:
        return UnknownDetails()
    return details


def total_columns(details: OrderDetails) -> dict[str, int | str | None]:
    """Return the columns beside the document: the total of a ticket order and its currency, in minor units."""
    if not isinstance(details, TicketOrderDetails):
        return {"total_minor": None, "currency": None}
    return {"total_minor": details.grand_total_minor, "currency": details.currency}


def total_of(
    kind: OrderKind | Unknown, total_minor: int | None, currency: str | None, document: str | None
) -> Money | None:
    """Return an order's total from its columns or, if the columns are empty, from its document.

    Return None for an order without a total, and if this version can read neither.
    """
    if total_minor is not None and currency is not None:
        return Money(minor=total_minor, currency=currency) if 0 <= total_minor <= LARGEST_MINOR else None
    details = UnknownDetails() if document is None else decoded_details(kind, document)
    return details.total if isinstance(details, TicketOrderDetails) else None


def decoded_consumer(text: str) -> Consumer | None:
    """Return a consumer from its JSON text, or None if this version cannot read the text."""
    try:
        consumer: Consumer = _DECODERS[Consumer].decode(text)
    except msgspec.DecodeError:
        return None
    return consumer


def changed_document(stored: str, before: Struct, after: Struct) -> str:
    """Return the stored text with the fields changed whose values differ between `before` and `after`.

    Everything else stays as it is stored, including the fields that this version does not know, also nested ones.
    """
    changed = _changed(Raw(stored.encode()), msgspec.to_builtins(before), msgspec.to_builtins(after))
    return bytes(changed).decode()


def _changed(stored: Raw, before: object, after: object) -> Raw:
    if before == after:
        return stored
    if isinstance(before, dict) and isinstance(after, dict):
        fields = _FIELDS.decode(stored)
        for name in before.keys() - after.keys():
            fields.pop(name, None)
        for name, value in after.items():
            if name in before and name in fields:
                fields[name] = _changed(fields[name], before[name], value)
            elif name not in before or before[name] != value:
                fields[name] = Raw(msgspec.json.encode(value))
        return Raw(msgspec.json.encode(fields))
    if isinstance(before, _SEQUENCES) and isinstance(after, _SEQUENCES) and len(before) == len(after):
        items = zip(_ITEMS.decode(stored), before, after, strict=True)
        return Raw(msgspec.json.encode([_changed(*item) for item in items]))
    return Raw(msgspec.json.encode(after))
