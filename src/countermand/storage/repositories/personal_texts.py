"""Finds and removes what is about a person in a stored text.

A JSON object that has the person's address in one of its fields is about the person, so its personal fields are
replaced. Any other text that mentions the address is replaced as a whole, because a sentence with an address may have
the name, too. Ids, amounts, instants and states stay, because accounting needs them.

One walk through the text finds the parts about the person and replaces them, so an export shows whatever is forgotten.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from countermand.domain.privacy import MARKER, Person

# The personal fields of documents, and of the answers that show them: text that is replaced by the marker, …
REPLACED: Final = frozenset(
    {
        *("first_name", "last_name", "email", "phone_number", "address", "postal_code", "city"),
        *("contactName", "contactPhone", "contactEmail", "ntdName", "ntdPhoneNumber", "ntdBusinessName"),
        *("ntdAddressLine1", "ntdAddressLine2", "ntdSuburb", "ntdPostcode", "ntdDeliveryInstructions"),
    }
)
# … and values of another form, which are removed: of any object, and of a consumer. A service order has fields that are
# named like a consumer's (`state`, `country`) and say nothing about the person.
_REMOVED_ANYWHERE: Final = frozenset({"ntdState"})
_REMOVED_OF_CONSUMER: Final = frozenset(
    {"date_of_birth", "gender", "country", "state", "language", "cognito_user", "ip"}
)
REMOVED: Final = _REMOVED_ANYWHERE | _REMOVED_OF_CONSUMER
_ONLY_CONSUMERS_HAVE: Final = frozenset({"first_name", "last_name", "email", "cognito_user"})
_CONSUMER, _SHIPPING = "consumer", "shipping_address"
_NAME: Final = ("first_name", "last_name")
_NAMING: Final = frozenset({"id", "uid", "order_id", "orderId"})
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)  # so that 12.50 stays 12.50
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def without_person(text: str, person: Person) -> str | None:
    """Return a stored text, JSON or not, without the person. Return None if nothing in it is about the person."""
    decoded = _decoded(text)
    walk = _Walk(text if decoded is None else decoded, person)
    if not walk.parts:
        return None
    return MARKER if decoded is None else _ENCODER.encode(walk.made).decode()


def parts_about(text: str, person: Person) -> Sequence[Mapping[str, object]]:
    """Return the parts of a stored text that `without_person` replaces: whole objects, or texts as `text`."""
    decoded = _decoded(text)
    return _Walk(text if decoded is None else decoded, person).parts


def buyer_is(text: str, person: Person) -> bool:
    """Return whether a stored order document names the person as the consumer of the order."""
    decoded = _decoded(text)
    return isinstance(decoded, dict) and _is_buyer(decoded, person)


def names_in(text: str) -> frozenset[str]:
    """Return the ids and uids that stand in a stored text: of orders, consumers and anything else."""
    return frozenset(_named(_decoded(text)))


def _decoded(text: str) -> object:
    """Return the object or list that a text has in JSON; None for any other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        decoded: object = _DECODER.decode(text)
    except (msgspec.DecodeError, ValueError):
        return None
    return decoded


def _named(value: object) -> Iterator[str]:
    match value:
        case dict():
            for name, one in value.items():
                if name in _NAMING and isinstance(one, str | int):
                    yield str(one)
                else:
                    yield from _named(one)
        case list():
            for one in value:
                yield from _named(one)
        case str() if (inner := _decoded(value)) is not None:
            yield from _named(inner)


def _is_about(value: Mapping[str, object], person: Person) -> bool:
    return any(person.is_named(one) for one in value.values())


def _about(value: object, person: Person) -> Iterator[Mapping[str, object]]:
    """Yield the objects that have the person's address."""
    match value:
        case dict():
            if _is_about(value, person):
                yield value
            for one in value.values():
                yield from _about(one, person)
        case list():
            for one in value:
                yield from _about(one, person)
        case str() if (inner := _decoded(value)) is not None:
            yield from _about(inner, person)


def _is_buyer(order: Mapping[str, object], person: Person) -> bool:
    """Return whether the person is the consumer of an order, so that the order's shipping address is the person's."""
    consumer = order.get(_CONSUMER)
    return isinstance(consumer, dict) and _is_about(consumer, person)


def _name_of(value: Mapping[str, object]) -> tuple[object, ...] | None:
    """Return first and last name of an object about a person, if it has both."""
    name = tuple(value.get(one) for one in _NAME)
    return name if all(name) else None


class _Walk:
    """Makes a value without the person, and collects in `parts` what was replaced, as it was."""

    def __init__(self, value: object, person: Person) -> None:
        self._person = person
        self._names = frozenset(_name_of(one) for one in _about(value, person)) - {None}
        self.parts: list[Mapping[str, object]] = []
        self.made = self._without(value, is_shown=False)

    def _without(self, value: object, *, is_shown: bool) -> object:
        """Return a value without the person. With `is_shown`, an object around the value is a part already."""
        match value:
            case dict():
                return self._object_without(value, is_shown=is_shown)
            case list():
                return [self._without(one, is_shown=is_shown) for one in value]
            case str() if (inner := _decoded(value)) is not None:
                made = self._without(inner, is_shown=is_shown)
                return value if made == inner else _ENCODER.encode(made).decode()
            case str() if self._person.is_mentioned(value):
                return self._replaced({"text": value}, MARKER, is_shown=is_shown)
        return value

    def _object_without(self, value: Mapping[str, object], *, is_shown: bool) -> object:
        is_about = _is_about(value, self._person) or (_name_of(value) in self._names and "email" not in value)
        if is_about:
            self._replaced(value, None, is_shown=is_shown)
        is_shown = is_shown or is_about
        is_buyer = _is_buyer(value, self._person)
        made = {}
        for name, one in (_scrubbed(value) if is_about else value).items():
            if name == _SHIPPING and is_buyer and isinstance(one, dict):
                blank = {field: MARKER if isinstance(old, str) else old for field, old in one.items()}
                made[name] = one if blank == one else self._replaced(one, blank, is_shown=is_shown)
            else:
                made[name] = self._without(one, is_shown=is_shown)
        return made

    def _replaced(self, part: Mapping[str, object], made: object, *, is_shown: bool) -> object:
        if not is_shown:
            self.parts.append(part)
        return made


def _scrubbed(value: Mapping[str, object]) -> dict[str, object]:
    """Return an object about the person without its personal fields."""
    removed = REMOVED if _ONLY_CONSUMERS_HAVE & value.keys() else _REMOVED_ANYWHERE
    kept = {name: one for name, one in value.items() if name not in removed}
    return {name: MARKER if name in REPLACED and one is not None else one for name, one in kept.items()}
