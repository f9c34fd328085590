"""The row of a statement, and SQLAlchemy's generic types with the parameters that no statement here uses.

Rows are read by the column's name.
"""

from typing import Any, Protocol

from sqlalchemy import ColumnElement, CursorResult, Select

Query = Select[Any]
Column = ColumnElement[Any]
Result = CursorResult[Any]


class Row(Protocol):
    """A row of either driver; the key is the name of a column."""

    def __getitem__(self, name: str, /) -> Any: ...
