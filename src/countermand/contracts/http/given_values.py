"""Prepares the values of a body for its message, before they are checked.

One rule holds for every message of every contract (shopping decision 30): null in an optional field is as if the field
were left out, and so is an empty text in a field of `SENT_EMPTY`. Besides, the type of a field may say how the field's
values are read (`read_by`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import msgspec
from msgspec import inspect

# Forms send these fields with an empty text if the buyer did not fill them in, and none of them can be empty.
SENT_EMPTY: Final = frozenset(
    {"currency", "date_of_birth", "gender", "payment_method", "redirect_url", "shipping_method"}
)
_ABSENT: Final[tuple[object, ...]] = (None,)
_ABSENT_OR_EMPTY: Final[tuple[object, ...]] = (None, "")
_READ: Final = "read"
_IN_WORDS: Final = "in_words"
_NEVER_SHOWN: Final = "never_shown"

Read = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class _Field:
    """How the values of a field are prepared. A required field has no `absent` values."""

    absent: tuple[object, ...]
    reads: Sequence[Read]


def read_by(read: Read, in_words: str | None = None) -> dict[str, object]:
    """Return what a type says about its values in `Meta.extra`: how they are read, and what they must be, in words.

    `read` returns a value that it cannot read unchanged, so that the error shows the value.
    """
    return {_READ: read} if in_words is None else {_READ: read, _IN_WORDS: in_words}


def never_shown(in_words: str) -> dict[str, object]:
    """Return what a type says in `Meta.extra` if no error may repeat a value, which may be a private key."""
    return {_IN_WORDS: in_words, _NEVER_SHOWN: True}


def prepared(message: type[msgspec.Struct], decoded: object) -> object:
    """Return the decoded JSON as the message expects it, without the optional fields that have no value.

    Values that do not fit the message stay unchanged. The given value is not changed.
    """
    fields = _fields_of(message)
    if not fields or not isinstance(decoded, dict):
        return decoded
    made = dict(decoded)
    for name in fields.keys() & made.keys():
        field, value = fields[name], made[name]
        if value in field.absent:
            del made[name]
        else:
            made[name] = _read(field.reads, value)
    return made


def in_words(known: inspect.Type) -> str | None:
    """Return a sentence part that says what a value must be, or an example of its pattern. None for other types."""
    if isinstance(known, inspect.Metadata):
        said = (known.extra or {}).get(_IN_WORDS)
        if isinstance(said, str):
            return said
        examples = (known.extra_json_schema or {}).get("examples")
        if examples and isinstance(known.type, inspect.StrType) and known.type.pattern is not None:
            return f"a string like {examples[0]}"
        return in_words(known.type)
    if isinstance(known, inspect.UnionType):
        return next((said for one in known.types if (said := in_words(one)) is not None), None)
    return None


def is_secret(known: inspect.Type) -> bool:
    """Return whether no error may repeat a value of the type, because the value, or a field in it, may be secret."""
    match known:
        case inspect.Metadata(type=inner, extra=extra):
            return bool((extra or {}).get(_NEVER_SHOWN)) or is_secret(inner)
        case inspect.UnionType(types=types):
            return any(map(is_secret, types))
        case inspect.StructType(fields=fields):
            return any(is_secret(field.type) for field in fields)
    return False


@cache
def _fields_of(message: type[msgspec.Struct]) -> Mapping[str, _Field]:
    """Return how each field of a message is prepared. Fields whose values are taken as they are are left out."""
    found = {}
    for field in msgspec.structs.fields(message):
        name = field.encode_name
        absent = () if field.required else _ABSENT_OR_EMPTY if name in SENT_EMPTY else _ABSENT
        reads = tuple(_reads_of(inspect.type_info(field.type)))
        if absent or reads:
            found[name] = _Field(absent, reads)
    return found


def _reads_of(known: inspect.Type) -> Iterator[Read]:
    """Yield what reads the values of a type, in this order: the type's own `read`, then what is inside the type."""
    match known:
        case inspect.Metadata(type=inner, extra=extra):
            read = (extra or {}).get(_READ)
            if callable(read):
                yield read
            yield from _reads_of(inner)
        case inspect.UnionType(types=types):
            for one in types:
                yield from _reads_of(one)
        case inspect.ListType(item_type=item):
            if reads := tuple(_reads_of(item)):
                yield lambda value: [_read(reads, one) for one in value] if isinstance(value, list) else value
        case inspect.DictType(value_type=item):
            if reads := tuple(_reads_of(item)):
                yield (
                    lambda value: (
                        {name: _read(reads, one) for name, one in value.items()} if isinstance(value, dict) else value
                    )
                )
        case inspect.StructType(cls=cls) if _fields_of(cls):
            yield lambda value: prepared(cls, value)


def _read(reads: Sequence[Read], value: object) -> object:
    for read in reads:
        value = read(value)
    return value
