"""The staff of the operator: the protocols that read and change it, and how a person gets a token."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.identity.ports import ClientAdministration
from countermand.actions.identity.secrets import hash_of, new_key, new_secret
from countermand.domain.client import Client, ClientId
from countermand.domain.contract import MANAGE
from countermand.domain.staff import Role, Staff
from countermand.domain.staff_id import StaffId

STAFF_TOKEN: Final = "staff-"  # noqa: S105 - begins every token of a person, and no key of a client


@dataclass(frozen=True, kw_only=True, slots=True)
class StaffLogin:
    """What a person's token stands for: the person, and the client that the person calls with."""

    client: Client
    staff: Staff
    secret_sha256: str = field(repr=False)
    revoked_at: datetime | None

    @property
    def counts(self) -> bool:
        """Whether the token may be used."""
        return self.revoked_at is None and self.staff.disabled_at is None


class StaffReading(Protocol):
    """Reads people and their tokens."""

    async def by_token_key(self, key: str) -> StaffLogin | None:
        """Return what the token with this key stands for, whether it counts or not; None without such a token."""
        ...

    async def one(self, staff_id: StaffId) -> Staff:
        """Return the person with this id. Raises `NotFoundError`."""
        ...


class StaffAdministration(StaffReading, Protocol):
    """Changes people and their tokens. Each change is recorded in its transaction, with the person `by` whom it was.

    `by` is None if nobody is known: for the command line, and for a client's own token.
    """

    async def all(self) -> Sequence[Staff]:
        """Return every person, disabled ones included, sorted by id."""
        ...

    async def add(
        self, staff_id: StaffId, *, name: str, roles: frozenset[Role], now: datetime, by: StaffId | None = None
    ) -> Staff:
        """Add a person. Raises `ConflictError` with `staff_exists`."""
        ...

    async def change(
        self,
        staff_id: StaffId,
        *,
        name: str | None,
        roles: frozenset[Role] | None,
        now: datetime,
        by: StaffId | None = None,
    ) -> Staff:
        """Change a person's name, the roles, or both; None changes nothing. Raises `NotFoundError`."""
        ...

    async def disable(self, staff_id: StaffId, now: datetime, by: StaffId | None = None) -> Staff:
        """Let no token of the person count any more. Raises `NotFoundError`."""
        ...

    async def enable(self, staff_id: StaffId, now: datetime, by: StaffId | None = None) -> Staff:
        """Let a disabled person get tokens again. Those from before stay stopped. Raises `NotFoundError`."""
        ...

    async def add_token(
        self,
        staff_id: StaffId,
        client_id: ClientId,
        *,
        key: str,
        secret_sha256: str,
        now: datetime,
        by: StaffId | None = None,
    ) -> Staff:
        """Add a token. Raises `NotFoundError`, or `ConflictError` with `staff_disabled`."""
        ...

    async def revoke_token(self, staff_id: StaffId, key: str, now: datetime, by: StaffId | None = None) -> Staff:
        """Let a token of the person count no more. Raises `NotFoundError`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NewToken:
    """A token that was just made. Only here can it be seen."""

    staff: Staff
    key: str
    token: str = field(repr=False)


async def make_token(
    staff: StaffAdministration,
    clients: ClientAdministration,
    staff_id: StaffId,
    client_id: ClientId,
    now: datetime,
    *,
    by: StaffId | None = None,
) -> NewToken:
    """Give a person a token of a client of the management API.

    Raises `NotFoundError`, `FieldsError` for a client that cannot call there, or `ConflictError` with `staff_disabled`.
    """
    try:
        client = await clients.one(client_id)
    except NotFoundError:
        client = None
    if client is None or client.channel != MANAGE or client.revoked_at is not None:
        said = f"client_id must be a {MANAGE} client that is not revoked, not {client_id}"
        raise FieldsError([("client_id", said)])
    key, secret = new_key(), new_secret()
    changed = await staff.add_token(staff_id, client_id, key=key, secret_sha256=hash_of(secret), now=now, by=by)
    return NewToken(staff=changed, key=key, token=f"{STAFF_TOKEN}{key}.{secret}")
