"""Who calls, and what may they do?"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from countermand.domain.contract import Channel
from countermand.domain.known import Unknown

ClientId = NewType("ClientId", int)
LARGEST_CLIENT_ID: Final = 2**31 - 1  # more is no number that a database takes for a client

# The issuer in the identity of those who get their tokens from our own endpoint, whatever its address is.
OWN_ISSUER: Final = "countermand"

# What such a client may be called: it is a claim, a form's field and the name of a file.
OWN_CLIENT_ID_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._~@-]{0,63}"


class Permission(StrEnum):
    """What a client may be allowed to do."""

    CREATE = "create"
    READ = "read"
    CANCEL = "cancel"
    READ_ALL = "read_all"  # over the shopping contract: the orders of other clients, too
    RECORD = "record"  # over the management API: payments, appointments, progress, the catalogue
    ADMINISTER = "administer"  # over the management API: who may call


# What a browser application may do, whose token anybody can read in its page (documented: a minimal set).
BROWSER_PERMISSIONS: Final = frozenset({Permission.CREATE, Permission.READ})


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Somebody with credentials. `identity` is (issuer, claim value) for tokens, None for a key and secret of ours."""

    id: ClientId
    channel: Channel
    name: str
    permissions: frozenset[Permission | Unknown]
    key: str | None
    identity: tuple[str, str] | None
    created_at: datetime
    revoked_at: datetime | None = None
    in_browser: bool = False  # it calls with the token of a browser application, which anybody can read
    only_event: str | None = None  # the uid of the one event that it may sell, as a browser's token says

    def may(self, permission: Permission) -> bool:
        """Whether this client has the permission and has not been revoked."""
        return permission in self.permissions and self.revoked_at is None
