"""The id of a person at the desk. It is chosen when the person is added, and stands wherever the person is shown."""

import re
from typing import Final, NewType

StaffId = NewType("StaffId", str)
STAFF_ID_PATTERN: Final = "[a-z][a-z0-9._-]{0,63}"
STAFF_ID_IN_WORDS: Final = "a lower-case letter, then up to 63 lower-case letters, digits, . _ -"
_STAFF_ID: Final = re.compile(STAFF_ID_PATTERN)


def staff_id_from(text: str) -> StaffId | None:
    """Return the text as a staff id, or None if no person can have it."""
    return StaffId(text) if _STAFF_ID.fullmatch(text) else None
