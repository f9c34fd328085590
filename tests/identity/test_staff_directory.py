"""What is remembered of people, and for how long."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.identity.staff import StaffLogin
from countermand.domain.staff import Role, Staff
from countermand.domain.staff_id import StaffId
from countermand.identity.staff_directory import StaffDirectory

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KIM = Staff(id=StaffId("kim"), name="Kim", roles=frozenset({Role.VIEWER}), created_at=NOW)
A_CLIENT: Any = None


@dataclass
class Database:
    """Has one person with one token, and counts the reads."""

    kim: Staff = KIM
    reads: list[str] = field(default_factory=list)

    async def by_token_key(self, key: str) -> StaffLogin | None:
        self.reads.append(key)
        login = StaffLogin(client=A_CLIENT, staff=self.kim, secret_sha256="0" * 64, revoked_at=None)
        return login if key == "k" else None

    async def one(self, staff_id: StaffId) -> Staff:
        self.reads.append(staff_id)
        if staff_id != self.kim.id:
            raise NotFoundError("there is no such person")
        return self.kim


async def test_a_token_and_a_person_are_read_once_within_the_time_and_strangers_each_time():
    database = Database()
    directory = StaffDirectory(database, refresh_s=60)
    for _ in range(3):
        login = await directory.login("k")
        assert login is not None
        assert login.counts
        assert await directory.person("kim") == "kim"
        assert await directory.login("stranger") is None
        with pytest.raises(FieldsError):
            await directory.person("stranger")
    assert database.reads == ["k", "kim", *["stranger"] * 6]


async def test_a_change_is_noticed_after_the_time():
    database = Database()
    directory = StaffDirectory(database, refresh_s=0)
    login, named = await directory.login("k"), await directory.person("kim")
    assert login is not None
    assert (login.counts, named) == (True, "kim")
    database.kim = replace(KIM, disabled_at=NOW)
    login = await directory.login("k")
    assert login is not None
    assert not login.counts
    with pytest.raises(FieldsError, match="Acting-As must be the id of a person who is not disabled, not"):
        await directory.person("kim")


async def test_text_that_no_person_can_have_is_not_looked_up():
    database = Database()
    for given in ("", "Kim", "kim\n", "\x00", "k" * 65):
        with pytest.raises(FieldsError):
            await StaffDirectory(database, refresh_s=0).person(given)
    assert database.reads == []
