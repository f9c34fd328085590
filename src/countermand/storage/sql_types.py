"""SQLAlchemy's generic types, with the parameters that no statement here uses: rows are read by the column's name."""

from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Select

Query = Select[Any]
Column = ColumnElement[Any]
Result = CursorResult[Any]
