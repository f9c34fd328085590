"""Reads numbers, truths and amounts that a client sends as text, in the fields whose type says so.

The texts are those that the HAL library of the shopping contract's owner reads and writes (shopping decision 29). The
document keeps the type of the number, because generated clients lose it in a choice of two types; `x-text-pattern`
describes the texts.
"""

import re
from decimal import Decimal
from typing import Final

from msgspec import Meta

from countermand.contracts.http.given_values import Read, read_by

# The digits are limited because reading a long number is slow; no field has room for a longer one.
_WHOLE: Final = r"^\s*[+-]?[0-9]{1,18}\s*$"
_TRUTH: Final = r"^(?:0|1|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$(?!\n)"
_DIGITS: Final = r"\s*[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,3})?\s*"
_DECIMAL: Final = f"^{_DIGITS}$"
_AMOUNT: Final = f"^[A-Z]{{3}}{_DIGITS}$"
_CURRENCY_LENGTH: Final = 3
_TRUTHS: Final = {"true": True, "false": False, "1": True, "0": False}


def whole_number(said: str = "") -> Meta:
    """Return the annotation of a whole number that may be text, with the description `said`."""
    return _described(said, 'As text, too, like "2"', _WHOLE, _whole)


def decimal_number(said: str = "") -> Meta:
    """Return the annotation of a `Number` that may be text."""
    return _described(said, 'As text, too, like "2.50"', _DECIMAL, _decimal)


def truth(said: str = "") -> Meta:
    """Return the annotation of a truth that may be text, or 1 or 0."""
    return _described(said, '"true", "false", "1", "0", 1 and 0 are accepted, too', _TRUTH, _truth)


def amount_text(said: str = "") -> Meta:
    """Return the annotation of an object with the fields `amount` and `currency` that may be one text."""
    words = 'an amount with its currency, like {"amount": 2.50, "currency": "EUR"} or "EUR2.50"'
    return _described(said, 'As text, too, like "EUR2.50"', _AMOUNT, _amount, words)


def _described(said: str, also: str, pattern: str, read: Read, in_words: str | None = None) -> Meta:
    return Meta(
        description=f"{said}. {also}" if said else also,
        extra_json_schema={"x-text-pattern": pattern},
        extra=read_by(read, in_words),
    )


def _whole(value: object) -> object:
    return int(value) if isinstance(value, str) and re.match(_WHOLE, value) else value


def _decimal(value: object) -> object:
    return Decimal(value.strip()) if isinstance(value, str) and re.match(_DECIMAL, value) else value


def _truth(value: object) -> object:
    if isinstance(value, str):
        return _TRUTHS.get(value.lower(), value)
    return bool(value) if type(value) is int and value in {0, 1} else value


def _amount(value: object) -> object:
    if not isinstance(value, str) or re.match(_AMOUNT, value) is None:
        return value
    return {"amount": _decimal(value[_CURRENCY_LENGTH:]), "currency": value[:_CURRENCY_LENGTH]}
