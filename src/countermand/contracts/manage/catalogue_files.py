"""How is a catalogue read from a file, so that every error has its line? JSON as in `/manage/v1`, or CSV."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, get_args

import msgspec

from countermand.actions.catalogue.load import Catalogue
from countermand.actions.errors import FieldsError
from countermand.contracts.http.answer import MalformedRequestError
from countermand.contracts.http.body import decode, read
from countermand.contracts.manage.catalogue_input import catalogue_of
from countermand.contracts.manage.catalogue_messages import KINDS, CatalogueGiven
from countermand.contracts.manage.catalogue_output import CatalogueShown
from countermand.contracts.manage.spreadsheet import SpreadsheetError, Table, read_table, text_of

_ITEM: Final = re.compile(r"(\w+)\[(\d+)\]")
# A heading that only one kind of item has determines the kind of all lines in a CSV file.
_TOLD_BY: Final = {"merchant_name": "events", "price.amount": "products", "costs.amount": "methods", "code": "vouchers"}
_LISTS: Final = frozenset(
    {"countries", "required_consumer_fields", "products", "types", "artists", "genres", "facilities"}
)
_IN_LANGUAGES: Final = ("artists", "genres")  # lists whose headings may name a language: `artists.en`
_TRUTHS: Final = {"true": True, "false": False}
_BETWEEN: Final = ";"  # separates the values of a list in one cell


class CatalogueFileError(ValueError):
    """Raised for a file with errors. The message has each error with its line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogueFile:
    """A catalogue that was read from a file; `lines` maps, for example, `("products", 3)` to its line."""

    catalogue: Catalogue
    lines: Mapping[tuple[str, int], int]

    def said(self, errors: Sequence[tuple[str, str]]) -> list[str]:
        """Return errors with their lines in the file, for people."""
        return _said(errors, self.lines)


def read_catalogue(content: bytes, *, is_csv: bool) -> CatalogueFile:
    """Read a whole file. Raises `CatalogueFileError` with every error of the file."""
    lines: Mapping[tuple[str, int], int] = {}
    decoded: object
    try:
        if is_csv:
            decoded, lines = _from_table(read_table(content))
        else:
            text = text_of(content)
            decoded = decode(text.encode())
            lines = dict(_lines_of_json(text, decoded))
        _check_names(decoded)
        return CatalogueFile(catalogue=catalogue_of(read(CatalogueGiven, decoded)), lines=lines)
    except FieldsError as error:
        raise CatalogueFileError("\n".join(_said(error.errors, lines))) from None
    except SpreadsheetError as error:
        raise CatalogueFileError(str(error)) from None
    except MalformedRequestError as error:
        where = error.__context__
        line = f"line {where.lineno}: " if isinstance(where, json.JSONDecodeError) else ""
        raise CatalogueFileError(line + str(error).replace("the body", "the file")) from None


def _said(errors: Sequence[tuple[str, str]], lines: Mapping[tuple[str, int], int]) -> list[str]:
    found = []
    for path, sentence in errors:
        item = _ITEM.match(path)
        line = None if item is None else lines.get((item[1], int(item[2])))
        found.append((line or 0, sentence if line is None else f"line {line}: {sentence}"))
    return [sentence for _, sentence in sorted(found, key=lambda one: one[0])]


def _check_names(decoded: object) -> None:
    """Refuse unknown names: a misspelt name would otherwise be ignored without a message."""
    if not isinstance(decoded, dict):
        return
    shown = {field.name: field.type for field in msgspec.structs.fields(CatalogueShown)}  # has the output's names, too
    found = [(name, f"there is no {name!r}, only {', '.join(KINDS)}") for name in decoded if name not in shown]
    for name, wanted in shown.items():
        found += _unknown(name, wanted, decoded.get(name))
    if found:
        raise FieldsError(found)


def _unknown(path: str, wanted: object, value: object) -> Iterator[tuple[str, str]]:
    """Yield the names in a value, in each item of a list, and in nested values that the type does not have."""
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from _unknown(f"{path}[{index}]", wanted, one)
    struct = _struct_in(wanted)
    if struct is None or not isinstance(value, dict):
        return
    types = {field.name: field.type for field in msgspec.structs.fields(struct)}
    for name, inner in value.items():
        here = f"{path}.{name}"
        if name in types:
            yield from _unknown(here, types[name], inner)
        else:
            yield here, f"{here} is not known; known: {', '.join(types)}"


def _struct_in(wanted: object) -> type[msgspec.Struct] | None:
    """Return the struct in a type like `list[Part]` or `Location | None`."""
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return wanted
    return next((found for one in get_args(wanted) if (found := _struct_in(one)) is not None), None)


# JSON


def _lines_of_json(text: str, decoded: object) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield the line of each item. The text is known to be JSON; only its outer object and lists are walked."""
    if not isinstance(decoded, dict):
        return
    walker = json.JSONDecoder()
    line, counted, at = 1, 0, text.index("{") + 1
    for kind, items in decoded.items():
        _, at = walker.raw_decode(text, _start(text, at))  # the list's name
        at = _start(text, at)
        if not isinstance(items, list):
            _, at = walker.raw_decode(text, at)
            continue
        at += 1
        for index in range(len(items)):
            at = _start(text, at)
            line, counted = line + text.count("\n", counted, at), at
            yield (kind, index), line
            _, at = walker.raw_decode(text, at)
        at = text.index("]", at) + 1


def _start(text: str, at: int) -> int:
    """Return where the next value begins, after spaces, commas and colons."""
    while text[at] in " \t\r\n,:":
        at += 1
    return at


# CSV


def _from_table(table: Table) -> tuple[dict[str, object], Mapping[tuple[str, int], int]]:
    """Read the rows of a table as items of one kind: a heading `name.en` is the field `en` within `name`."""
    kind = _told_by(table.headings)
    items: list[dict[str, object]] = []
    errors: list[tuple[str, str]] = []
    lines = {(kind, index): row.line for index, row in enumerate(table.rows)}
    for index, row in enumerate(table.rows):
        if len(row.cells) != len(table.headings):
            errors.append((f"{kind}[{index}]", "it has another number of values than the headings"))
        elif any("\0" in cell for cell in row.cells):
            errors.append((f"{kind}[{index}]", "it has a NUL character"))
        named = zip(table.headings, row.cells, strict=False)
        items.append(_item(kind, {name: cell for name, cell in named if cell}))
    if errors:
        raise CatalogueFileError("\n".join(_said(errors, lines)))
    return {kind: items}, lines


def _told_by(headings: Sequence[str]) -> str:
    """Return the kind of item that the headings determine. Raises `CatalogueFileError`."""
    kind = next((kind for heading, kind in _TOLD_BY.items() if heading in headings), None)
    if kind is None or len(set(headings)) != len(headings):
        told = ", ".join(f"{heading} ({of})" for heading, of in _TOLD_BY.items())
        raise CatalogueFileError(f"line 1: the headings must be different, and one of them tell what follows: {told}")
    for heading in headings:
        name, dot, _ = heading.partition(".")
        if dot and name in headings:
            raise CatalogueFileError(f"line 1: the heading {heading} is within {name}, which is there, too")
    return kind


def _item(kind: str, cells: Mapping[str, str]) -> dict[str, object]:
    made: dict[str, Any] = {}
    types = {field.name: field.type for field in msgspec.structs.fields(KINDS[kind])}
    for heading, cell in cells.items():
        name, _, inner = heading.partition(".")
        if inner and name in _IN_LANGUAGES:
            continue
        if inner and name == "facilities":
            made.setdefault(name, {})[inner] = _TRUTHS.get(cell.lower(), cell)
        elif inner:
            within = made.setdefault(name, {})
            within[inner] = _number(cell) if inner == "amount" else cell
        elif name == "parts":
            made[name] = [_part(one) for one in cell.split(_BETWEEN)]
        elif name == "seats":
            made[name] = [_seats(one) for one in cell.split(_BETWEEN)]
        elif name in _LISTS:
            made[name] = [one.strip() for one in cell.split(_BETWEEN)]
        else:
            made[name] = _value(types.get(name), cell)
    for name in _IN_LANGUAGES:
        texts = {
            inner: cell for heading, cell in cells.items() if (inner := heading.removeprefix(f"{name}.")) != heading
        }
        if texts:
            named = _by_position(texts)
            made[name] = named if name == "artists" else [{"name": text} for text in named]
    return made


def _by_position(cells: Mapping[str, str]) -> list[dict[str, str]]:
    """Read `artists.en` and `artists.nl`: what has the same position in each list is one text in two languages."""
    lists = {language: [one.strip() for one in cell.split(_BETWEEN)] for language, cell in cells.items()}
    longest = max(map(len, lists.values()))
    return [
        {language: texts[at] for language, texts in lists.items() if at < len(texts) and texts[at]}
        for at in range(longest)
    ]


def _part(cell: str) -> dict[str, object]:
    """Read a part: `<uid>*2`, or the uid alone for a quantity of 1."""
    uid, _, quantity = cell.strip().partition("*")
    return {"product": uid.strip()} | ({"quantity": _whole(quantity.strip())} if quantity else {})


def _seats(cell: str) -> dict[str, object] | str:
    """Read a seat block: `Stalls/A/1-20` has a section, a row, and the numbers of its first and last seat."""
    found = re.fullmatch("(.+)/(.+)/([0-9]+)-([0-9]+)", cell.strip())
    if found is None:
        return cell
    return {"section": found[1], "row": found[2], "first": _whole(found[3]), "last": _whole(found[4])}


def _value(wanted: object, cell: str) -> object:
    """Convert a cell to its field's type. A value that does not fit stays text, so that the error can show it."""
    if _is(wanted, int):
        return _whole(cell)
    if _is(wanted, bool):
        return _TRUTHS.get(cell.lower(), cell)
    return cell


def _is(wanted: object, plain: type) -> bool:
    return wanted is plain or any(_is(one, plain) for one in get_args(wanted) if isinstance(one, type) or get_args(one))


def _whole(cell: str) -> int | str:
    return int(cell) if re.fullmatch("[0-9]{1,18}", cell.strip()) else cell


def _number(cell: str) -> Decimal | str:
    """Read `12.50` or `12,50`. A number whose comma may separate thousands (`1,250`) stays text: an error later."""
    found = re.fullmatch(r"([0-9]{1,18})(?:\.([0-9]{1,18})|,([0-9]{1,2}))?", cell.strip())
    if found is None:
        return cell
    decimals = found[2] or found[3]
    return Decimal(found[1] if decimals is None else f"{found[1]}.{decimals}")
