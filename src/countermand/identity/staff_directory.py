"""Remembers the people who called recently. A change of a person or of a token takes effect within `refresh_s`."""

import time
from typing import Final, TypeVar

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.identity.staff import StaffLogin, StaffReading
from countermand.contracts.http.body import shown
from countermand.domain.staff import Staff
from countermand.domain.staff_id import StaffId, staff_id_from

Name = TypeVar("Name", bound=str)
Found = TypeVar("Found")

_REMEMBERED_CAP: Final = 1_000


class StaffDirectory:
    """Finds people by their tokens, and by their ids. Only those who exist are remembered."""

    def __init__(self, staff: StaffReading, *, refresh_s: float) -> None:
        self._staff = staff
        self._refresh_s = refresh_s
        self._logins: dict[str, tuple[float, StaffLogin]] = {}
        self._people: dict[StaffId, tuple[float, Staff]] = {}

    async def login(self, key: str) -> StaffLogin | None:
        """Return what the token with this key stands for; None for an unknown key."""
        if (remembered := self._recent(self._logins, key)) is not None:
            return remembered
        found = await self._staff.by_token_key(key)
        if found is not None:
            self._remember(self._logins, key, found)
        return found

    async def person(self, given: str) -> StaffId:
        """Return the id of a person who is not disabled. Raises `FieldsError`, which names the header and its value."""
        staff_id = staff_id_from(given)
        found = None if staff_id is None else await self._person(staff_id)
        if found is None or found.disabled_at is not None:
            said = f"Acting-As must be the id of a person who is not disabled, not {shown(given)}"
            raise FieldsError([("Acting-As", said)])
        return found.id

    async def _person(self, staff_id: StaffId) -> Staff | None:
        if (remembered := self._recent(self._people, staff_id)) is not None:
            return remembered
        try:
            found = await self._staff.one(staff_id)
        except NotFoundError:
            return None
        self._remember(self._people, staff_id, found)
        return found

    def _recent(self, remembered: dict[Name, tuple[float, Found]], name: Name) -> Found | None:
        read_at_s, found = remembered.get(name, (float("-inf"), None))
        return found if time.monotonic() - read_at_s < self._refresh_s else None

    def _remember(self, remembered: dict[Name, tuple[float, Found]], name: Name, found: Found) -> None:
        remembered.pop(name, None)
        if len(remembered) >= _REMEMBERED_CAP:
            del remembered[next(iter(remembered))]
        remembered[name] = (time.monotonic(), found)
