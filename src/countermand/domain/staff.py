"""Who works at the desk, and what may each of them do?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from countermand.domain.client import DESK_PERMISSIONS, ClientId, Permission
from countermand.domain.known import Unknown
from countermand.domain.staff_id import StaffId


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
    client_id: ClientId
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
    return frozenset(one for role in roles if isinstance(role, Role) for one in PERMISSIONS_OF[role])
