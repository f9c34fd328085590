"""Which stored values does this version know?

A newer version may store a permission or a state that this version does not have. Such a value stays text: it is
shown as it is, equals no member of the enumeration, and no decision treats it as a member.
"""

from enum import StrEnum
from typing import TypeVar

Kind = TypeVar("Kind", bound=StrEnum)


class Unknown(str):
    """A stored value that this version does not know."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The text; members of an enumeration have the same property."""
        return str(self)


def known(kind: type[Kind], value: str) -> Kind | Unknown:
    """Return the member of `kind` for a stored value, or `Unknown`. All stored text becomes members through this."""
    try:
        return kind(value)
    except ValueError:
        return Unknown(value)
