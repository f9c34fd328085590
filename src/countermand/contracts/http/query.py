"""Reads the parameters of a request. Every contract uses it, so that no parameter is passed over without a word.

A parameter that takes one value is refused if it is there twice; a filter that may repeat takes all its values.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from countermand.actions.errors import FieldsError
from countermand.contracts.http.body import shown

_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}


def values_by_name(query_string: bytes) -> Mapping[str, Sequence[str]]:
    """Return the values of each parameter, decoded, in the order in which they were sent."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query_string.decode(errors="replace"), keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


def truth(given: str) -> bool:
    """Return the truth value that a text stands for: true, false, 1 or 0, in any case. Raises `ValueError`."""
    if given.lower() not in _TRUTHS:
        raise ValueError("true or false")
    return _TRUTHS[given.lower()]


class Query:
    """The parameters of a request. Collects the errors in them, so that one answer lists all of them."""

    def __init__(self, query_string: bytes) -> None:
        self._values = values_by_name(query_string)
        self.errors: list[tuple[str, str]] = []

    def one(self, name: str) -> str | None:
        """Return a parameter that takes one value, or None if it is not there. If it repeats, the error is noted."""
        given = self.several(name)
        if len(given) > 1:
            self.errors.append((name, repeated(name, given)))
            return None
        return given[0] if given else None

    @property
    def names(self) -> Sequence[str]:
        """The names of all parameters, each once, in the order in which they were sent."""
        return list(self._values)

    def several(self, name: str) -> Sequence[str]:
        """Return all values of a parameter that may repeat."""
        return self._values.get(name, ())

    def truth(self, name: str) -> bool | None:
        """Return a truth value, or None if it is not there. A wrong value is noted as an error."""
        given = self.one(name)
        try:
            return None if given is None else truth(given)
        except ValueError as error:
            self.wrong(name, f"{error}", given)
            return None

    def wrong(self, name: str, must_be: str, given: object) -> None:
        """Note that a parameter has a wrong value."""
        self.errors.append((name, f"{name} must be {must_be}, not {shown(given)}"))

    def refuse_others(self, known: Sequence[str]) -> None:
        """Note each parameter that a call does not have: a misspelled filter would otherwise let every row through."""
        there_are = f"there are {', '.join(known)}" if known else "it has none"
        for name in self.names:
            if name not in known:
                self.errors.append((name, f"{shown(name)} is no parameter of this call; {there_are}"))

    def check(self) -> None:
        """Raise `FieldsError` with every error that was noted."""
        if self.errors:
            raise FieldsError(self.errors)


def repeated(name: str, given: Sequence[str]) -> str:
    """Return the sentence for a parameter that takes one value and was sent with several."""
    return f"{name} must be there once, not {len(given)} times: {shown(list(given))}"
