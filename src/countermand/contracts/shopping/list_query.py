"""Which items of a list does a request select, by filters and by page, and where are the other pages?

The page size, a page beyond the last, `item_count` and the links are documented; so are the filters' names and
suffixes. Inferred: the first page has no `prev` and the last no `next`, `__in` takes its values between commas, and an
equality that repeats takes any of its values (shopping decision 35). Parameters that are no filter of the list are
ignored.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote_plus

from countermand.actions.catalogue.ports import Condition, FilterValue, Op
from countermand.contracts.http.openapi import parameter, repeatable
from countermand.contracts.http.query import Query, truth
from countermand.contracts.shopping.links import Link

PAGE_SIZE: Final = 500
_IN_CAP: Final = 100  # values of one `__in`; ours
_PAGE: Final = "page"
_PAGE_DIGITS: Final = 15
_AMOUNT: Final = r"[0-9]{1,12}(\.[0-9]{1,2})?"
_IN_A_QUERY: Final = "!$&'()*+,/:;=?@-._~%"  # RFC 3986; links quote all other characters of a query


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterType:
    """The values of a filter: `read` converts text, or raises `ValueError` with what the value must be.

    If the filter `repeats`, its equality may be there several times, and an item with any of the values matches.
    """

    suffixes: tuple[Op, ...]
    read: Callable[[str], FilterValue]
    schema: Mapping[str, object]
    repeats: bool = True


def _text(given: str) -> str:
    if "\0" in given:
        raise ValueError("text without a NUL character")
    return given


def _instant(given: str) -> datetime:
    try:
        instant = datetime.fromisoformat(given)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("an instant with a time zone, like 2026-11-23T01:00:00Z")


def _minor(given: str) -> int:
    if not re.fullmatch(_AMOUNT, given):
        raise ValueError("an amount with at most two decimals, like 12.50")
    whole, _, decimals = given.partition(".")
    return int(whole) * 100 + int(decimals.ljust(2, "0"))


_ORDERED: Final = (Op.LT, Op.LTE, Op.GT, Op.GTE)
_SET: Final = (Op.NE, Op.IN)
TEXT: Final = FilterType(suffixes=(Op.STARTSWITH, *_SET), read=_text, schema={"type": "string"})
INSTANT: Final = FilterType(
    suffixes=(*_ORDERED, *_SET), read=_instant, schema={"type": "string", "format": "date-time"}, repeats=False
)
PRICE: Final = FilterType(
    suffixes=(*_ORDERED, *_SET), read=_minor, schema={"type": "string", "pattern": f"^{_AMOUNT}$"}
)
TRUTH: Final = FilterType(suffixes=(Op.NE,), read=truth, schema={"type": "boolean"}, repeats=False)


def uri(uid_of: Callable[[str], str | None], like: str) -> FilterType:
    """Make a filter type whose values are addresses `like` this; `uid_of` finds the uid in an address."""

    def read(given: str) -> str:
        uid = uid_of(given)
        if uid is None:
            raise ValueError(f"an address like {like}")
        return uid

    return FilterType(suffixes=_SET, read=read, schema={"type": "string", "examples": [like]})


def choice(values: Sequence[str]) -> FilterType:
    """Make a filter type whose values are some fixed words."""

    def read(given: str) -> str:
        if given not in values:
            raise ValueError("one of " + ", ".join(values))
        return given

    return FilterType(suffixes=_SET, read=read, schema={"type": "string", "enum": list(values)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A list query: its `conditions` by the filters' names, its page (from 1), and its text for links."""

    conditions: Sequence[Condition]
    page: int
    query: str

    @property
    def offset(self) -> int:
        """The number of items before the page."""
        return (self.page - 1) * PAGE_SIZE

    def has(self, field: str) -> bool:
        """Return whether there is a condition on a field."""
        return any(condition.field == field for condition in self.conditions)

    def links(self, address: str, item_count: int) -> dict[str, Link]:
        """Return `self` as requested, `first` without a page, `prev` and `next` if those pages exist, and `last`."""
        last = max(1, -(-item_count // PAGE_SIZE))
        page = min(self.page, last)  # a page beyond the last becomes the last (documented)
        found = {"self": _address(address, self.query), "first": self._page(address, 1)}
        if page > 1:
            found["prev"] = self._page(address, page - 1)
        if page < last:
            found["next"] = self._page(address, page + 1)
        found["last"] = self._page(address, last)
        return {rel: {"href": href} for rel, href in found.items()}

    def _page(self, address: str, page: int) -> str:
        kept = [pair for pair in self.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) != _PAGE]
        return _address(address, "&".join([*kept, *([f"page={page}"] if page > 1 else [])]))


def _address(address: str, query: str) -> str:
    return f"{address}?{query}" if query else address


def parse_list_query(query_string: bytes, filters: Mapping[str, FilterType]) -> Asked:
    """Read a query. Raises `FieldsError` with each wrong parameter and its value."""
    conditions: list[Condition] = []
    query, page = Query(query_string), 1
    comparisons = _comparisons(filters)
    for name in query.names:
        if name != _PAGE and name not in comparisons:
            continue
        field, op = comparisons.get(name, (name, Op.EQ))
        may_repeat = name != _PAGE and _may_repeat(filters[field], op)
        given = query.several(name) if may_repeat else [one for one in [query.one(name)] if one is not None]
        try:
            if name == _PAGE:
                page = _page_number(given[0]) if given else page
            elif given:
                conditions.append(_condition(field, op, given, filters[field]))
        except ValueError as error:
            query.wrong(name, f"{error}", ",".join(given))
    query.check()
    return Asked(conditions=conditions, page=page, query=quote(query_string, safe=_IN_A_QUERY))


def parameters(filters: Mapping[str, FilterType]) -> tuple[dict[str, object], ...]:
    """Return a list's parameters in the form of OpenAPI."""
    described = [
        parameter(
            _PAGE,
            "query",
            "The number of the page, from 1. A number beyond the last page returns the last page",
            _PAGE_SCHEMA,
            required=False,
        ),
    ]
    for name, (field, op) in _comparisons(filters).items():
        about, schema = "Only items that match", filters[field].schema
        if op is Op.IN:
            about, schema = "Only items with one of these values, separated by commas", {"type": "string"}
        elif _may_repeat(filters[field], op):
            described.append(
                repeatable(name, "Only items that match. Repeat it for items with any of several values", schema)
            )
            continue
        described.append(parameter(name, "query", about, schema, required=False))
    return tuple(described)


_PAGE_SCHEMA: Final = {"type": "integer", "minimum": 1, "default": 1}


def _comparisons(filters: Mapping[str, FilterType]) -> Mapping[str, tuple[str, Op]]:
    """Return every parameter that filters a list: each field by itself, and with each of its suffixes."""
    return {
        name: (field, op)
        for field, kind in filters.items()
        for name, op in ((field, Op.EQ), *((f"{field}__{suffix}", suffix) for suffix in kind.suffixes))
    }


def search(address: str, filters: Mapping[str, FilterType]) -> Link:
    """Return the link to a list, with its filters to fill in (RFC 6570); pages explain the suffixes of a filter."""
    return {"href": f"{address}{{?{','.join([*filters, 'page'])}}}", "templated": True}


def _page_number(given: str) -> int:
    if not re.fullmatch("[0-9]+", given) or not given.strip("0"):
        raise ValueError("a whole number from 1 up")
    return int(given) if len(given) <= _PAGE_DIGITS else 10**_PAGE_DIGITS


def _condition(field: str, op: Op, given: Sequence[str], kind: FilterType) -> Condition:
    """Read a condition. A repeated parameter has several values, of which any matches."""
    if op is not Op.IN and len(given) == 1:
        return Condition(field, op, kind.read(given[0]))
    several = [one for some in given for one in some.split(",")] if op is Op.IN else given
    if len(several) > _IN_CAP:
        raise ValueError(f"at most {_IN_CAP} values" + (" between commas" if op is Op.IN else ""))
    return Condition(field, Op.IN, tuple(kind.read(one) for one in several))


def _may_repeat(kind: FilterType, op: Op) -> bool:
    return op is Op.IN or (op is Op.EQ and kind.repeats)
