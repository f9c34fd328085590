"""Filters lists of the catalogue and of orders, and cuts them into pages."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import JSON, ColumnElement, TableValuedAlias, Text, and_, cast, exists, func, not_, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, JSONPATH

from countermand.actions.catalogue.ports import Condition, FilterValue, Op
from countermand.storage.sql_types import Column, Query, Row
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.catalogue import events, products
from countermand.storage.tables.columns import micros


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """Says where a filter looks: at a column, at a path within a column's document, or at several texts there.

    `in_languages` means the texts of all languages, `within` every text at any depth there.
    """

    column: Column
    path: tuple[str, ...] = ()
    in_languages: bool = False
    within: bool = False


def _column(column: Column) -> Field:
    return Field(column=column)


_DETAILS: Final = events.c.details
EVENTS: Final[Mapping[str, Field]] = {
    "merchant_name": _column(events.c.merchant_name),
    "title": Field(column=events.c.title, in_languages=True),
    "subtitle": Field(column=_DETAILS, path=("subtitle",), in_languages=True),
    "sale_start": _column(events.c.sale_starts_at),
    "sale_end": _column(events.c.sale_ends_at),
    "event_start": _column(events.c.starts_at),
    "event_end": _column(events.c.ends_at),
    "location.name": Field(column=_DETAILS, path=("location", "name")),
    "location.postal_code": Field(column=_DETAILS, path=("location", "postal_code")),
    "location.city": Field(column=_DETAILS, path=("location", "city")),
    "location.country": Field(column=_DETAILS, path=("location", "country")),
    "artist": Field(column=_DETAILS, path=("artists",), within=True),
    "genre": Field(column=_DETAILS, path=("genres",), within=True),
}
PRODUCTS: Final[Mapping[str, Field]] = {
    "event": _column(products.c.event_uid),
    "name": Field(column=products.c.name, in_languages=True),
    "subtitle": Field(column=products.c.details, path=("subtitle",), in_languages=True),
    "price": _column(products.c.price_minor),
    "price_cur": _column(products.c.currency),
    "is_soldout": _column(products.c.availability <= 0),
    "sale_start": _column(func.coalesce(products.c.sale_starts_at, events.c.sale_starts_at)),
    "sale_end": _column(func.coalesce(products.c.sale_ends_at, events.c.sale_ends_at)),
}

_COMPARISONS: Final[Mapping[Op, Callable[[Column, Any], ColumnElement[bool]]]] = {
    Op.EQ: lambda column, value: column == value,
    Op.NE: lambda column, value: or_(column.is_(None), column != value),
    Op.LT: lambda column, value: column < value,
    Op.LTE: lambda column, value: column <= value,
    Op.GT: lambda column, value: column > value,
    Op.GTE: lambda column, value: column >= value,
    Op.IN: lambda column, value: column.in_(value),
    Op.STARTSWITH: lambda column, value: func.substr(column, 1, len(value)) == value,
}


def compared(column: Column, condition: Condition) -> ColumnElement[bool]:
    """Return the predicate that a column meets a condition. NULL meets only "not equal"."""
    given = condition.value
    value = [_bound(one) for one in given] if isinstance(given, tuple) else _bound(given)
    met = _COMPARISONS[condition.op](column, value)
    return met if condition.op is Op.NE else and_(column.is_not(None), met)


def _bound(value: FilterValue) -> str | int:
    return micros(value) if isinstance(value, datetime) else value


def _positive(condition: Condition) -> Condition:
    """Return the condition to look for in each of several texts: "not equal" means that no text may be equal."""
    return Condition(condition.field, Op.EQ, condition.value) if condition.op is Op.NE else condition


def _offset_within(offset: int, total: int, at_most: int) -> int:
    """Return the offset of the page, or that of the last page if the list is shorter."""
    return min(offset, max(0, (total - 1) // at_most * at_most))


class Filtering(StatementRunner):
    """Reads lists on one connection."""

    async def _page(self, found: Query, offset: int, at_most: int) -> tuple[Sequence[Row], int]:
        """Some of the rows, and how many there are. An offset beyond them gives the last page (documented)."""
        total = await self._total(found)
        return await self.rows(found.offset(_offset_within(offset, total, at_most)).limit(at_most)), total

    async def _page_from_nearer_end(
        self, found: Query, key: Sequence[Column], offset: int, at_most: int
    ) -> tuple[Sequence[Row], int]:
        """Return the same for rows that descend by `key`. A page in the second half is read from the other end."""
        total = await self._total(found)
        before = _offset_within(offset, total, at_most)
        after = max(0, total - before - at_most)
        if before <= after:
            descending = found.order_by(*(column.desc() for column in key))
            return await self.rows(descending.offset(before).limit(at_most)), total
        ascending = found.order_by(*key).offset(after).limit(total - before - after)
        return list(reversed(await self.rows(ascending))), total

    async def _total(self, found: Query) -> int:
        (count,) = await self.rows(select(func.count().label("total")).select_from(found.order_by(None).subquery()))
        return int(count["total"])

    def _met(self, fields: Mapping[str, Field], conditions: Sequence[Condition]) -> list[ColumnElement[bool]]:
        return [self._one_met(fields[one.field], one) for one in conditions]

    def _one_met(self, field: Field, condition: Condition) -> ColumnElement[bool]:
        if field.in_languages or field.within:
            texts, text = self._texts_within(field) if field.within else self._texts(field)
            inner = exists(select(1).select_from(texts).where(compared(text, _positive(condition))))
            return not_(inner) if condition.op is Op.NE else inner
        return compared(self._value(field), condition)

    def _value(self, field: Field) -> Column:
        """A column, or something within a document."""
        found: Column = field.column
        if not field.path:
            return found
        if self._on_postgres:
            found = func.json_extract_path_text(cast(field.column, JSON), *field.path)
        else:
            found = func.json_extract(field.column, _path(field))
        return found

    def _texts(self, field: Field) -> tuple[TableValuedAlias, Column]:
        """The texts of a document, one in a row: those of all languages."""
        if self._on_postgres:
            document = cast(field.column, JSON)
            inner = func.json_extract_path(document, *field.path) if field.path else document
            found = func.json_each_text(inner).table_valued("key", "value")
        else:
            inner_sqlite = func.json_extract(field.column, _path(field)) if field.path else field.column
            found = func.json_each(inner_sqlite).table_valued("key", "value")
        return found, found.c.value

    def _texts_within(self, field: Field) -> tuple[TableValuedAlias, Column]:
        """The texts at a path of a document, one in a row: in lists, in languages and in objects, or plain."""
        if self._on_postgres:
            texts = cast(f'{_path(field)}.** ? (@.type() == "string")', JSONPATH)
            found = func.jsonb_path_query(cast(field.column, JSONB), texts).table_valued("value").render_derived()
            return found, found.c.value.op("#>>")(cast([], ARRAY(Text)))
        found = func.json_tree(field.column, _path(field)).table_valued("atom")
        return found, found.c.atom


def _path(field: Field) -> str:
    return ".".join(("$", *field.path))
