"""Writes a value that a caller sent into an error's sentence."""

import json
from decimal import Decimal
from typing import Final

_SHOWN_CAP: Final = 60  # characters of a wrong value that an error repeats


def shown(value: object) -> str:
    """Return a wrong value for an error: as JSON, cut short, without characters that a terminal would obey."""
    text = str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= _SHOWN_CAP else text[: _SHOWN_CAP - 1] + "…"
