"""Finds and removes what is about a person in a stored text.

A JSON object that has the person's address in one of its fields is about the person, so its personal fields are
replaced. Any other text that mentions the address is replaced as a whole, because a sentence with an address may have
the name, too. Ids, amounts, instants and states stay, because accounting needs them.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from countermand.domain.privacy import MARKER, Person

# The personal fields of documents, and of the answers that show them: text that is replaced by the marker, …
_REPLACED: Final = frozenset(
    {
        *("first_name", "last_name", "email", "phone_number", "address", "postal_code", "city"),
        *("contactName", "contactPhone", "contactEmail", "ntdName", "ntdPhoneNumber", "ntdBusinessName"),
        *("ntdAddressLine1", "ntdAddressLine2", "ntdSuburb", "ntdPostcode", "ntdDeliveryInstructions"),
    }
)
# … and values of another form, which are removed.
_REMOVED: Final = frozenset({"date_of_birth", "gender", "country", "state", "language", "cognito_user", "ip"})
_REMOVED_BESIDE: Final = "first_name"  # a service order has no such field, and keeps its own `state` and `country`
_CONSUMER, _SHIPPING = "consumer", "shipping_address"
_NAME: Final = ("first_name", "last_name")
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)  # so that 12.50 stays 12.50
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def without_person(text: str, person: Person) -> str | None:
    """Return a stored text, JSON or not, without the person. Return None if it does not mention the person."""
    decoded = _decoded(text)
    if decoded is None:
        return MARKER if person.is_mentioned(text) else None
    names = frozenset(_name_of(one) for one in _about(decoded, person)) - {None}
    made = _without(decoded, person, names)
    return None if made == decoded else _ENCODER.encode(made).decode()


def parts_about(text: str, person: Person) -> Sequence[Mapping[str, object]]:
    """Return the parts of a stored text that are about the person: whole objects, or the text itself."""
    decoded = _decoded(text)
    if decoded is None:
        return [{"text": text}] if person.is_mentioned(text) else []
    found: list[Mapping[str, object]] = list(_about(decoded, person))
    return found or [{"text": one} for one in _mentions(decoded, person)]


def _decoded(text: str) -> object:
    """Return the object or list that a text has in JSON; None for any other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        decoded: object = _DECODER.decode(text)
    except (msgspec.DecodeError, ValueError):
        return None
    return decoded


def _is_about(value: Mapping[str, object], person: Person) -> bool:
    return any(person.is_named(one) for one in value.values())


def _about(value: object, person: Person) -> Iterator[Mapping[str, object]]:
    """Yield the objects that have the person's address, outer ones first."""
    match value:
        case dict():
            if _is_about(value, person):
                yield value
            for one in value.values():
                yield from _about(one, person)
            if isinstance(shipping := value.get(_SHIPPING), dict) and _is_buyer(value, person):
                yield shipping
        case list():
            for one in value:
                yield from _about(one, person)
        case str() if (inner := _decoded(value)) is not None:
            yield from _about(inner, person)


def _mentions(value: object, person: Person) -> Iterator[str]:
    """Yield the texts that mention the person."""
    match value:
        case dict():
            for one in value.values():
                yield from _mentions(one, person)
        case list():
            for one in value:
                yield from _mentions(one, person)
        case str() if person.is_mentioned(value):
            yield value


def _is_buyer(order: Mapping[str, object], person: Person) -> bool:
    """Return whether the person is the consumer of an order, so that the order's shipping address is the person's."""
    consumer = order.get(_CONSUMER)
    return isinstance(consumer, dict) and _is_about(consumer, person)


def _name_of(value: Mapping[str, object]) -> tuple[object, ...] | None:
    """Return first and last name of an object about a person, if it has both."""
    name = tuple(value.get(one) for one in _NAME)
    return name if all(name) else None


def _without(value: object, person: Person, names: frozenset[tuple[object, ...] | None]) -> object:
    match value:
        case dict():
            is_about = _is_about(value, person) or (_name_of(value) in names and "email" not in value)
            kept = _scrubbed(value) if is_about else value
            made = {name: _without(one, person, names) for name, one in kept.items()}
            if isinstance(shipping := value.get(_SHIPPING), dict) and _is_buyer(value, person):
                made[_SHIPPING] = {name: MARKER if isinstance(one, str) else one for name, one in shipping.items()}
            return made
        case list():
            return [_without(one, person, names) for one in value]
        case str() if (inner := _decoded(value)) is not None:
            made_inner = _without(inner, person, names)
            return value if made_inner == inner else _ENCODER.encode(made_inner).decode()
        case str() if person.is_mentioned(value):
            return MARKER
    return value


def _scrubbed(value: Mapping[str, object]) -> dict[str, object]:
    """Return an object about the person without its personal fields."""
    removed = _REMOVED if _REMOVED_BESIDE in value or "email" in value else frozenset()
    kept = {name: one for name, one in value.items() if name not in removed}
    return {name: MARKER if name in _REPLACED and one is not None else one for name, one in kept.items()}
