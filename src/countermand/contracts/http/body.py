"""Decodes a body, converts it to a message, and describes each error in it in a sentence.

All contracts use one decoder. msgspec alone would accept, or report differently, duplicate keys (the last counts), NUL
and lone surrogates in strings, numbers of absurd length, deep nesting and bad UTF-8.
"""

import json
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Final, Literal, NoReturn, TypeGuard, TypeVar, cast

import msgspec
from msgspec import inspect

from countermand.actions.errors import FieldsError
from countermand.actions.shown_values import shown as shown  # noqa: PLC0414 - the contracts import it from here
from countermand.contracts.http.answer import MalformedRequestError
from countermand.contracts.http.encodings import is_latin_1, what_it_is
from countermand.contracts.http.given_values import in_words, is_secret, prepared

BODY_CAP_BYTES: Final = 64 * 1024
WHITE_SPACE: Final = rb"[ \t\r\n]*"  # that of JSON, as a regular expression
_DIGITS_CAP: Final = 400  # digits of a number; no order needs a longer number, and reading one is slow
_DEPTH_CAP: Final = 64
_ERRORS_CAP: Final = 60  # errors in one answer; no message has more fields

Message = TypeVar("Message", bound=msgspec.Struct)


def decode(body: bytes) -> object:
    """Read JSON. Whole numbers are int, others Decimal. Raises `MalformedRequestError` with the error and its place.

    A byte order mark before the JSON is ignored, as RFC 8259 (8.1) allows.
    """
    body = body.removeprefix(BOM_UTF8)
    try:
        decoded = _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise MalformedRequestError(what_it_is(body) or _not_utf_8(body, error.start)) from None
    except RecursionError:
        raise MalformedRequestError("the body is nested too deeply") from None
    except json.JSONDecodeError as error:
        said = "the body is empty" if not body.strip() else f"the body is not JSON: {error.msg} at byte {error.pos}"
        raise MalformedRequestError(what_it_is(body) or said) from None
    if body.count(b"[") + body.count(b"{") > _DEPTH_CAP:
        _check_depth(decoded)
    # Without a backslash the body has no escape, and JSON or UTF-8 has already refused a raw NUL or surrogate.
    if b"\\" in body:
        _check_strings(decoded)
    return decoded


def _not_utf_8(body: bytes, wrong: int) -> str:
    if is_latin_1(body, wrong):
        return f"the body is Latin-1, not UTF-8: byte {wrong} is wrong; encode it as UTF-8"
    return f"the body is not UTF-8: byte {wrong} is wrong"


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise MalformedRequestError(f"the field {shown(twice)} appears twice in one object")
    return made


def _int(digits: str) -> int:
    if len(digits) > _DIGITS_CAP:
        raise MalformedRequestError(f"a number of {len(digits)} digits is too long")
    return int(digits)


def _decimal(digits: str) -> Decimal:
    if len(digits) > _DIGITS_CAP:
        raise MalformedRequestError(f"a number of {len(digits)} digits is too long")
    try:
        number = Decimal(digits)
    except InvalidOperation:  # the exponent is out of Decimal's range
        number = None
    if number is None or abs(number.adjusted()) > _DIGITS_CAP:
        raise MalformedRequestError(f"the number {shown(digits)} is out of range")
    return number


def _no_constant(name: str) -> NoReturn:
    raise MalformedRequestError(f"the body is not JSON: {name} is no JSON value")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_int, parse_float=_decimal, parse_constant=_no_constant
)


def _check_depth(value: object) -> None:
    """Refuse nesting that is deeper than any message, and still far from the interpreter's own limit."""
    level, depth = [value], 0
    while level:
        if depth > _DEPTH_CAP:
            raise MalformedRequestError(f"the body is nested more than {_DEPTH_CAP} levels deep")
        inner = [one for one in level if isinstance(one, list | dict)]
        level = [one for it in inner for one in (it.values() if isinstance(it, dict) else it)]
        depth += 1


def _check_strings(value: object) -> None:
    """Refuse a NUL, which databases do not accept, and a lone surrogate, which is not a character."""
    to_check = [value]
    while to_check:
        match to_check.pop():
            case str(text):
                if "\0" in text:
                    raise MalformedRequestError(f"the string {shown(text)} has a NUL character")
                if any("\ud800" <= character <= "\udfff" for character in text):
                    raise MalformedRequestError(f"the string {shown(text)} has a lone surrogate")
            case list(items):
                to_check += items
            case dict(fields):
                to_check += fields.keys()
                to_check += fields.values()


def read(message: type[Message], decoded: object) -> Message:
    """Convert decoded JSON to a message. Raises `FieldsError`, which names every wrong field with its value.

    Fields that the message does not have are ignored. Null in an optional field is as if the field were left out, and
    the values of some types are read first (`given_values.py`).
    """
    decoded = prepared(message, decoded)
    try:
        return msgspec.convert(decoded, message, dec_hook=_number)
    except msgspec.ValidationError as error:
        # msgspec stops at the first error, so collect all of them here.
        raise FieldsError(list(islice(_errors(message, decoded, ""), _ERRORS_CAP)) or [("body", str(error))]) from None


class Number(Decimal):
    """An exact JSON number. msgspec's own Decimal would accept a string as well."""


def _number(wanted: type, value: object) -> object:
    if wanted is not Number or isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"no {wanted.__name__}")
    return Number(value)


def _errors(expected: object, value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield every error of a value, field by field, as (path, sentence)."""
    try:
        msgspec.convert(value, expected, dec_hook=_number)
    except msgspec.ValidationError:
        pass
    else:
        return
    info = inspect.type_info(expected)
    known = _plain(info)
    if (
        isinstance(value, list)
        and _is_list_of_length(known, len(value))
        and (item := _item_in(known, described=in_words(info) is not None)) is not None
    ):
        for index, element in enumerate(value):
            yield from _errors(item, element, f"{path}[{index}]")
    elif (struct := _struct_in(known)) is not None and isinstance(value, dict):
        for field in msgspec.structs.fields(struct):
            inner = f"{path}.{field.encode_name}" if path else field.encode_name
            if field.encode_name in value:
                yield from _errors(field.type, value[field.encode_name], inner)
            elif field.required:
                yield inner, f"{inner} is missing"
    else:
        name = path or "the body"
        instead = "" if is_secret(info) else f", not {shown(value)}"
        yield path or "body", f"{name} must be {in_words(info) or _said(info)}{instead}"


def _is_list_of_length(known: inspect.Type, length: int) -> TypeGuard[inspect.ListType]:
    """Return whether the type is a list that may have this length: only then are the list's elements examined."""
    if not isinstance(known, inspect.ListType):
        return False
    return (known.min_length or 0) <= length <= (length if known.max_length is None else known.max_length)


def _item_in(known: inspect.ListType, *, described: bool) -> object | None:
    """Return the type of the items if an error can name the wrong one: they are objects, or words of a list.

    The words of a list that is `described` as a whole have no error of their own.
    """
    item = _plain(known.item_type)
    if isinstance(item, inspect.LiteralType) and not described:
        return cast("object", Literal[tuple(item.values)])
    return item.cls if isinstance(item, inspect.StructType) else None


def _plain(known: inspect.Type) -> inspect.Type:
    """Return the type itself, without its description and without "or None"."""
    if isinstance(known, inspect.Metadata):
        return _plain(known.type)
    if isinstance(known, inspect.UnionType):
        others = [one for one in known.types if not isinstance(one, inspect.NoneType)]
        return _plain(others[0]) if len(others) == 1 else known
    return known


def _struct_in(known: inspect.Type) -> type[msgspec.Struct] | None:
    plain = _plain(known)
    return plain.cls if isinstance(plain, inspect.StructType) else None


def _said(known: inspect.Type) -> str:  # noqa: C901, PLR0911 - one line a type
    """Describe in words which values a type takes."""
    match _plain(known):
        case inspect.IntType(ge=low, le=high):
            return "a whole number" + _between(low, high)
        case inspect.FloatType() | inspect.CustomType():  # `Number` is this project's only custom type
            return "a number"
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType(min_length=low, max_length=high, pattern=pattern):
            length = f" of {low or 0} to {high} characters" if high is not None else " that is not empty" if low else ""
            return "a string" + length + (f" like {pattern}" if pattern else "")
        case inspect.DateTimeType():
            return "an instant with a time zone, like 2026-11-23T01:00:00Z"
        case inspect.DateType():
            return "a date like 1986-12-30"
        case inspect.EnumType(cls=cls):
            return "one of " + ", ".join(member.value for member in cls)
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(value) for value in values)
        case inspect.ListType(item_type=item, min_length=low, max_length=high):
            length = f" of {low or 0} to {high}" if high is not None else " that is not empty" if low else ""
            of_what = f", each {_said(item)}" if isinstance(_plain(item), inspect.LiteralType) else ""
            return f"a list{length}{of_what}"
        case inspect.StructType() | inspect.DictType():
            return "an object"
        case other:
            return f"of the type {type(other).__name__.removesuffix('Type').lower()}"


def _between(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" between {low} and {high}"
    return "" if low is None else f" from {low} up"
