"""Which of the values that the database holds does this version know?

A newer version may store a permission or a state that this one has never heard of. Such a value stays a
text: it is shown as it is, equals no member, and no decision counts it as one.
"""

from enum import StrEnum
from typing import TypeVar

Kind = TypeVar("Kind", bound=StrEnum)


class Unknown(str):
    """A stored value that this version does not know."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The text, as a member of an enumeration gives its own."""
        return str(self)


def known(kind: type[Kind], value: str) -> Kind | Unknown:
    """The member of `kind` that was stored as `value`. The one way from a stored text to a member."""
    try:
        return kind(value)
    except ValueError:
        return Unknown(value)
