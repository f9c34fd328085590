"""Who works at the desk, and what may each of them do?"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType

from countermand.domain.client import DESK_PERMISSIONS, Permission
from countermand.domain.known import Unknown

StaffId = NewType("StaffId", str)  # chosen when a person is added, and shown wherever the person is
STAFF_ID_PATTERN: Final = "[a-z][a-z0-9._-]{0,63}"
_STAFF_ID: Final = re.compile(STAFF_ID_PATTERN)


class Role(StrEnum):
    """A set of permissions that a person may have."""

    VIEWER = "viewer"
    SUPPORT = "support"
    FINANCE = "finance"
    AUTHOR = "author"
    APPROVER = "approver"
    ADMIN = "admin"


# What each role permits. No role permits to act as somebody else: that is for programs.
PERMISSIONS_OF: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        Role.VIEWER: frozenset({Permission.READ}),
        Role.SUPPORT: frozenset({Permission.READ, Permission.RECORD, Permission.CANCEL}),
        Role.FINANCE: frozenset({Permission.READ, Permission.RECORD, Permission.MONEY}),
        Role.AUTHOR: frozenset(
            {
                Permission.READ,
                Permission.RECORD,
                Permission.CANCEL,
                Permission.MONEY,
                Permission.OVERRIDE,
                Permission.PLAN,
                Permission.ENDPOINTS,
                Permission.SUBSCRIBE,
            }
        ),
        Role.APPROVER: frozenset({Permission.READ, Permission.OVERRIDE, Permission.APPROVE}),
        Role.ADMIN: DESK_PERMISSIONS - {Permission.ACT_AS},
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StaffToken:
    """The public half of a person's token. Its requests are those of a client and of a person."""

    key: str
    client_id: int
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Staff:
    """A person who works for the operator."""

    id: StaffId
    name: str
    roles: frozenset[Role | Unknown]
    created_at: datetime
    disabled_at: datetime | None = None
    tokens: tuple[StaffToken, ...] = ()

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the person may do: the union of the roles. A role that this version does not know permits nothing."""
        return permissions_of(self.roles)


def permissions_of(roles: Iterable[Role | Unknown]) -> frozenset[Permission]:
    """Return the union of what the roles permit."""
    return frozenset().union(*(PERMISSIONS_OF[role] for role in roles if isinstance(role, Role)))


def staff_id_from(text: str) -> StaffId | None:
    """Return the text as a staff id, or None if no person can have it."""
    return StaffId(text) if _STAFF_ID.fullmatch(text) else None
