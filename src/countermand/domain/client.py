"""Who is calling, and what may they do?"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from countermand.domain.contract import Channel
from countermand.domain.known import Unknown
from countermand.domain.redirects import NO_REDIRECTS, Redirects
from countermand.domain.staff_id import StaffId

ClientId = NewType("ClientId", int)
LARGEST_CLIENT_ID: Final = 2**31 - 1  # the largest number that fits the database's column
COMMAND_LINE: Final = ClientId(0)  # stands in records for the command line, which is no client

# The issuer in the identity of clients that get their tokens from this service's own endpoint, at any address.
OWN_ISSUER: Final = "countermand"

# The allowed ids of such clients: an id is a claim, a field of a form, and the name of a file.
OWN_CLIENT_ID_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._~@-]{0,63}"


class Permission(StrEnum):
    """An action that a client may be permitted to do."""

    CREATE = "create"
    READ = "read"
    CANCEL = "cancel"
    READ_ALL = "read_all"  # over the shopping contract: the orders of other clients, too
    RECORD = "record"  # over the management API: payments, appointments, progress, the catalogue
    ADMINISTER = "administer"  # over the management API: who may call
    MONEY = "money"  # over the management API, as all that follow: payments, and money that is paid back
    OVERRIDE = "override"  # propose what the policy refuses
    PLAN = "plan"  # change many orders at once
    APPROVE = "approve"  # approve what another person proposed
    ENDPOINTS = "endpoints"  # where events are delivered to
    SUBSCRIBE = "subscribe"  # over a contract: endpoints and the feed, for the events of the client's own orders
    FORGET = "forget"  # find and remove what is stored of a person
    ACT_AS = "act_as"  # say for whom a request is made


# What the management API asks for, of clients and of people.
DESK_PERMISSIONS: Final = frozenset(Permission) - {Permission.CREATE, Permission.READ_ALL}

# The permissions of a browser application, whose token anybody can read in its page (documented: a minimal set).
BROWSER_PERMISSIONS: Final = frozenset({Permission.CREATE, Permission.READ})


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """A system or person with credentials.

    `identity` is (issuer, claim value) for tokens, and None for a client with a key and secret of this service.
    """

    id: ClientId
    channel: Channel
    name: str
    permissions: frozenset[Permission | Unknown]
    key: str | None
    identity: tuple[str, str] | None
    created_at: datetime
    revoked_at: datetime | None = None
    previous_secret_until: datetime | None = None  # until when the secret from before the last rotation works
    last_used_at: datetime | None = None  # the last call to the minute, without those of the last hour or so
    in_browser: bool = False  # whether it calls with a browser application's token, which anybody can read
    only_event: str | None = None  # the uid of the only event that its browser token may sell
    redirects: Redirects = NO_REDIRECTS  # where its buyers may be led back to
    staff_id: StaffId | None = None  # the person who calls with it, whose permissions these are; None for nobody

    def may(self, permission: Permission) -> bool:
        """Return whether this client has the permission and has not been revoked."""
        return permission in self.permissions and self.revoked_at is None
