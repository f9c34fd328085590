"""Tidies text that people type (phone numbers, e-mail addresses, countries) before it is checked.

The pattern of each type accepts text as people type it, so that a contract's document says what the service accepts.
"""

import re
from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta

from countermand.contracts.http.given_values import read_by

# Blanks, including no-break blanks, but not line ends. Marks of direction and width are invisible: telephones put them
# around a number that is copied.
_BLANKS: Final = " \t\u00a0\u2000-\u200a\u202f\u205f\u3000"
_UNSEEN: Final = "\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_AROUND: Final = re.compile(f"^[{_BLANKS}{_UNSEEN}]+|[{_BLANKS}{_UNSEEN}]+$(?!\n)")
_DASHES: Final = re.compile("[\u2010-\u2015\u2212]")

_O: Final = rf"[{_BLANKS}{_UNSEEN}]*"  # around a text
_S: Final = rf"[{_BLANKS}{_UNSEEN}.()\-\u2010-\u2015\u2212]*"  # between digits
_ABROAD: Final = rf"(?:\+{_S}|0{_S}0{_S}|0{_S}0{_S}1{_S}1{_S})?6{_S}1{_S}(?:0{_S})?"
_PHONE: Final = rf"^{_S}(?:{_ABROAD}|0{_S})[23478](?:{_S}[0-9]){{8}}{_S}$(?!\n)"


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
    return read_by(lambda value: tidy(value) if isinstance(value, str) else value, in_words)


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
