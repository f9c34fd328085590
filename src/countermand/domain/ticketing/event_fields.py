"""In which form are an event's artists, genres and facilities? Plain texts of older versions are read for ever.

Artists are texts by language. A genre is an object whose name is in languages. The facilities are one object: the name
of each facility, with true or false or a text about it.
"""

from collections.abc import Mapping
from typing import Final

DEFAULT_LANGUAGE: Final = "en"  # the language of a text that came without any


def in_newest_form(more: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of an event that are only shown, with plain texts turned into what is published today."""
    made = dict(more)
    for name, convert in (("artists", _in_languages), ("genres", _genre)):
        given = made.get(name)
        if isinstance(given, list):
            made[name] = [convert(one) for one in given]
    facilities = made.get("facilities")
    if isinstance(facilities, list):
        made["facilities"] = {one: True for one in facilities if isinstance(one, str)}
    return made


def _in_languages(given: object) -> object:
    return {DEFAULT_LANGUAGE: given} if isinstance(given, str) else given


def _genre(given: object) -> object:
    return {"name": _in_languages(given)} if isinstance(given, str) else given
