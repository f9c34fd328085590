"""Who calls, and what may they do?"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from countermand.domain.contract import Door

ClientId = NewType("ClientId", int)


class Permission(StrEnum):
    """What a client may be allowed to do."""

    CREATE = "create"
    READ = "read"
    CANCEL = "cancel"
    RECORD = "record"  # over the management API: payments, appointments, progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Somebody with credentials. `identity` is (issuer, claim value) for tokens, None for a key and secret of ours."""

    id: ClientId
    door: Door
    name: str
    permissions: frozenset[Permission]
    key: str | None
    identity: tuple[str, str] | None
    created_at: datetime
    revoked_at: datetime | None = None

    def may(self, permission: Permission) -> bool:
        """Whether this client has the permission and has not been revoked."""
        return permission in self.permissions and self.revoked_at is None
