"""Tidies text that people type (phone numbers, e-mail addresses, countries) before it is checked.

The pattern of each type accepts text as people type it, so that a contract's document says what the service accepts.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta, inspect

# Blanks, including no-break blanks, but not line ends. Marks of direction and width are invisible: telephones put them
# around a number that is copied. Both stand in patterns as escapes: a program that reports a broken pattern in an HTTP
# header (Prism does) fails on other characters.
_BLANKS: Final = r" \t\u00a0\u2000-\u200a\u202f\u205f\u3000"
_UNSEEN: Final = r"\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_AROUND: Final = re.compile(f"^[{_BLANKS}{_UNSEEN}]+|[{_BLANKS}{_UNSEEN}]+$(?!\n)")
_DASHES: Final = re.compile("[\u2010-\u2015\u2212]")

_O: Final = rf"[{_BLANKS}{_UNSEEN}]*"  # around a text
_S: Final = rf"[{_BLANKS}{_UNSEEN}.()\-\u2010-\u2015\u2212]*"  # between digits
_ABROAD: Final = rf"(?:\+{_S}|0{_S}0{_S}|0{_S}0{_S}1{_S}1{_S})?6{_S}1{_S}(?:0{_S})?"
_PHONE: Final = rf"^{_S}(?:{_ABROAD}|0{_S})[23478](?:{_S}[0-9]){{8}}{_S}$(?!\n)"
_TIDY: Final = "tidy"
_IN_WORDS: Final = "in_words"


def tidy_text(text: str) -> str:
    """Return the text without blanks around it."""
    return _AROUND.sub("", text)


def tidy_phone(text: str) -> str:
    """Return a phone number with one blank or dash between groups, without brackets and dots.

    A number with an international prefix begins with `+61`.
    """
    text = re.sub(f"[{_UNSEEN}]", "", _DASHES.sub("-", text))
    text = re.sub(rf"[{_BLANKS}.]+", " ", text)
    text = re.sub(r"^ ?(?:\+ ?|0 ?0 ?1 ?1 ?|0 ?0 ?)(?=6 ?1)", "+", text)
    text = re.sub(r"^(\+?6 ?1[ -]*)\(? ?0 ?\)?(?=[ -]*[23478(])", r"\1", text)
    text = re.sub(r"[()]", " ", text)
    return re.sub(r" *(?:- *)+", "-", re.sub(" +", " ", text)).strip(" -")


def _upper(text: str) -> str:
    return tidy_text(text).upper()


def _lower(text: str) -> str:
    return tidy_text(text).lower()


def _typed(tidy: Callable[[str], str], in_words: str) -> dict[str, object]:
    return {_TIDY: tidy, _IN_WORDS: in_words}


Phone = Annotated[
    str,
    Meta(
        pattern=_PHONE,
        description="A valid Australian landline or mobile number",
        examples=["0412 345 678"],
        extra=_typed(
            tidy_phone, "an Australian landline or mobile number, like 0412 345 678, (02) 9876 5432 or +61 2 9876 5432"
        ),
    ),
]
EMAIL_IN_WORDS: Final = _typed(tidy_text, "an e-mail address, like jo@example.com")
EMAIL_PATTERN: Final = rf"^{_O}[^@\s]+@[^@\s]+{_O}$(?!\n)"
EMAIL_WITH_DOMAIN_PATTERN: Final = rf"^{_O}[^@\s]+@[^@\s]+\.[^@\s.]+{_O}$(?!\n)"
Country = Annotated[
    str,
    Meta(
        pattern=rf"^{_O}[A-Za-z]{{2}}{_O}$(?!\n)",
        examples=["NL"],
        extra=_typed(_upper, "a country's two letters (ISO 3166), like NL"),
    ),
]
Language = Annotated[
    str,
    Meta(
        pattern=rf"^{_O}[A-Za-z]{{2}}{_O}$(?!\n)",
        examples=["nl"],
        extra=_typed(_lower, "a language's two letters (ISO 639), like nl"),
    ),
]


def tidied(message: type[msgspec.Struct], decoded: object) -> object:
    """Return the same value with the text that people type tidied.

    A value that does not fit the message stays unchanged.
    """
    fields = _fields_of(message)
    if not fields or not isinstance(decoded, dict):
        return decoded
    made = dict(decoded)
    for name in fields.keys() & made.keys():
        made[name] = fields[name](made[name])
    return made


def in_words(known: inspect.Type) -> str | None:
    """Return a sentence part that says what a text must be, or an example if it has a pattern. None for other types."""
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


@cache
def _fields_of(message: type[msgspec.Struct]) -> Mapping[str, Callable[[object], object]]:
    """Return the function that tidies each field of a message. Fields that need none are left out."""
    found = {}
    for field in msgspec.structs.fields(message):
        tidy = _tidier_of(inspect.type_info(field.type))
        if tidy is not None:
            found[field.encode_name] = tidy
    return found


def _of_text(tidy: Callable[[str], str]) -> Callable[[object], object]:
    return lambda value: tidy(value) if isinstance(value, str) else value


def _tidier_of(known: inspect.Type) -> Callable[[object], object] | None:
    match known:
        case inspect.Metadata(type=inner, extra=extra):
            tidy = (extra or {}).get(_TIDY)
            return _of_text(tidy) if callable(tidy) else _tidier_of(inner)
        case inspect.UnionType(types=types):
            return next((tidy for one in types if (tidy := _tidier_of(one)) is not None), None)
        case inspect.ListType(item_type=item):
            inner_tidy = _tidier_of(item)
            if inner_tidy is None:
                return None
            return lambda value: [inner_tidy(one) for one in value] if isinstance(value, list) else value
        case inspect.StructType(cls=cls) if _fields_of(cls):
            return lambda value: tidied(cls, value)
    return None
