"""Reads and writes the people at the desk and their tokens. The database holds no secret, only its SHA-256."""

import json
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Executable, func, insert, select, true, update

from countermand.actions.errors import ConflictError, NotFoundError, TakenError
from countermand.actions.identity.staff import StaffLogin
from countermand.domain.client import ClientId
from countermand.domain.known import Unknown, known
from countermand.domain.staff import Role, Staff, StaffToken
from countermand.domain.staff_id import StaffId
from countermand.storage.repositories.rows import client_of
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.sql_types import Row
from countermand.storage.store import SqlStore
from countermand.storage.tables.clients import clients
from countermand.storage.tables.columns import instant, instant_or_none, micros
from countermand.storage.tables.staff import staff, staff_changes, staff_tokens


class SqlStaff:
    """Implements `StaffAdministration`."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def by_token_key(self, key: str) -> StaffLogin | None:
        """See `StaffReading.by_token_key`."""
        token, person = staff_tokens.c, staff.c
        names = {"staff_name": person.name, "roles": person.roles, "disabled_at": person.disabled_at}
        of_token = {
            "staff_id": token.staff_id,
            "token_secret": token.secret_sha256,
            "token_revoked_at": token.revoked_at,
        }
        columns = [column.label(name) for name, column in (names | of_token).items()]
        found = (
            select(clients, person.created_at.label("staff_created_at"), *columns)
            .select_from(staff_tokens)
            .join(staff, person.id == token.staff_id)
            .join(clients, clients.c.id == token.client_id)
            .where(token.key == key)
        )
        async with self._store.snapshot() as reading:
            rows = await reading.rows(found)
        if not rows:
            return None
        (row,) = rows
        return StaffLogin(
            client=client_of(row),
            staff=Staff(
                id=StaffId(row["staff_id"]),
                name=row["staff_name"],
                roles=_roles_of(row),
                created_at=instant(row["staff_created_at"]),
                disabled_at=instant_or_none(row["disabled_at"]),
            ),
            secret_sha256=row["token_secret"],
            revoked_at=instant_or_none(row["token_revoked_at"]),
        )

    async def one(self, staff_id: StaffId) -> Staff:
        """See `StaffReading.one`."""
        async with self._store.snapshot() as reading:
            return await _one(reading, staff_id)

    async def all(self) -> Sequence[Staff]:
        """See `StaffAdministration.all`."""
        async with self._store.snapshot() as reading:
            return await _found(reading, true())

    async def add(
        self, staff_id: StaffId, *, name: str, roles: frozenset[Role], now: datetime, by: StaffId | None = None
    ) -> Staff:
        """See `StaffAdministration.add`."""
        row = {"id": staff_id, "name": name, "roles": _roles_column(roles), "created_at": micros(now)}
        try:
            async with self._store.transaction() as tx:
                await tx.run(insert(staff).values(row))
                await tx.run(_noted(staff_id, now, by))
        except TakenError as error:
            if error.constraint != "pk_staff":
                raise
            raise ConflictError("staff_exists", f"there is a person {staff_id} already; choose another id") from error
        return Staff(id=staff_id, name=name, roles=roles, created_at=now)

    async def change(
        self,
        staff_id: StaffId,
        *,
        name: str | None,
        roles: frozenset[Role] | None,
        now: datetime,
        by: StaffId | None = None,
    ) -> Staff:
        """See `StaffAdministration.change`."""
        given = {"name": name, "roles": None if roles is None else _roles_column(roles)}
        values = {column: value for column, value in given.items() if value is not None}
        if not values:
            return await self.one(staff_id)
        return await self._changed(staff_id, update(staff).where(staff.c.id == staff_id).values(values), now, by)

    async def disable(self, staff_id: StaffId, now: datetime, by: StaffId | None = None) -> Staff:
        """See `StaffAdministration.disable`. The first instant stays."""
        stopped = func.coalesce(staff.c.disabled_at, micros(now))
        disabled = update(staff).where(staff.c.id == staff_id).values(disabled_at=stopped)
        return await self._changed(staff_id, disabled, now, by)

    async def enable(self, staff_id: StaffId, now: datetime, by: StaffId | None = None) -> Staff:
        """See `StaffAdministration.enable`. The tokens of a person who is not disabled are left alone."""
        enabled = update(staff).where(staff.c.id == staff_id, staff.c.disabled_at.is_not(None)).values(disabled_at=None)
        tokens = update(staff_tokens).where(staff_tokens.c.staff_id == staff_id, staff_tokens.c.revoked_at.is_(None))
        async with self._store.transaction() as tx:
            if await tx.run(enabled):
                await tx.run(tokens.values(revoked_at=micros(now)))
                await tx.run(_noted(staff_id, now, by))
            return await _one(tx, staff_id)

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
        """See `StaffAdministration.add_token`."""
        row = {
            "key": key,
            "staff_id": staff_id,
            "client_id": client_id,
            "secret_sha256": secret_sha256,
            "created_at": micros(now),
        }
        async with self._store.transaction() as tx:
            if (await _one(tx, staff_id)).disabled_at is not None:
                raise ConflictError("staff_disabled", f"{staff_id} is disabled and gets no token")
            await tx.run(insert(staff_tokens).values(row))
            await tx.run(_noted(staff_id, now, by))
            return await _one(tx, staff_id)

    async def revoke_token(self, staff_id: StaffId, key: str, now: datetime, by: StaffId | None = None) -> Staff:
        """See `StaffAdministration.revoke_token`. The first instant stays."""
        is_it = (staff_tokens.c.staff_id == staff_id) & (staff_tokens.c.key == key)
        stopped = func.coalesce(staff_tokens.c.revoked_at, micros(now))
        revoked = update(staff_tokens).where(is_it).values(revoked_at=stopped)
        return await self._changed(staff_id, revoked, now, by, token=key)

    async def _changed(
        self, staff_id: StaffId, statement: Executable, now: datetime, by: StaffId | None, *, token: str | None = None
    ) -> Staff:
        async with self._store.transaction() as tx:
            if not await tx.run(statement):
                of_whom = f"no person {staff_id}" if token is None else f"no token {token} of {staff_id}"
                raise NotFoundError(f"there is {of_whom}")
            await tx.run(_noted(staff_id, now, by))
            return await _one(tx, staff_id)


def _noted(staff_id: StaffId, now: datetime, by: StaffId | None) -> Executable:
    """Return the statement that records who changed a person. It is in the transaction of the change."""
    return insert(staff_changes).values(staff_id=staff_id, changed_at=micros(now), changed_by=by)


async def _one(reading: SqlTransaction, staff_id: StaffId) -> Staff:
    found = await _found(reading, staff.c.id == staff_id)
    if not found:
        raise NotFoundError(f"there is no person {staff_id}")
    return found[0]


async def _found(reading: SqlTransaction, condition: ColumnElement[bool]) -> Sequence[Staff]:
    people = await reading.rows(select(staff).where(condition).order_by(staff.c.id))
    of_people = select(staff_tokens).join(staff, staff.c.id == staff_tokens.c.staff_id).where(condition)
    tokens = await reading.rows(of_people.order_by(staff_tokens.c.created_at, staff_tokens.c.key))
    return [
        Staff(
            id=StaffId(row["id"]),
            name=row["name"],
            roles=_roles_of(row),
            created_at=instant(row["created_at"]),
            disabled_at=instant_or_none(row["disabled_at"]),
            tokens=tuple(_token_of(token) for token in tokens if token["staff_id"] == row["id"]),
        )
        for row in people
    ]


def _token_of(row: Row) -> StaffToken:
    return StaffToken(
        key=row["key"],
        client_id=ClientId(row["client_id"]),
        created_at=instant(row["created_at"]),
        revoked_at=instant_or_none(row["revoked_at"]),
    )


def _roles_column(roles: frozenset[Role]) -> str:
    return json.dumps(sorted(roles))


def _roles_of(row: Row) -> frozenset[Role | Unknown]:
    return frozenset(known(Role, one) for one in msgspec.json.decode(row["roles"]))
