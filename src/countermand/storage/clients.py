"""Who may call: the clients' rows. Secrets are never here, only their SHA-256."""

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Executable, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql.elements import ColumnElement

from countermand.actions.errors import ConflictError, NotFoundError, UnfitDataError
from countermand.domain.client import Client, ClientId, Permission
from countermand.domain.contract import Door
from countermand.storage.rows import client_of
from countermand.storage.store import SqlStore
from countermand.storage.tables import clients, micros


class SqlClients:
    """Fulfils `Clients`, and changes them for the command line."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def by_key(self, key: str) -> tuple[Client, str] | None:
        """See `Clients.by_key`."""
        row = await self._row(clients.c.key == key)
        return None if row is None else (client_of(row), row["secret_sha256"])

    async def by_identity(self, issuer: str, subject: str) -> Client | None:
        """See `Clients.by_identity`."""
        row = await self._row((clients.c.issuer == issuer) & (clients.c.subject == subject))
        return None if row is None else client_of(row)

    async def current(self, ids: Sequence[ClientId]) -> Sequence[tuple[Client, str | None]]:
        """See `Clients.current`."""
        async with self._store.snapshot() as reading:
            rows = await reading.rows(select(clients).where(clients.c.id.in_(ids)))
        return [(client_of(row), row["secret_sha256"]) for row in rows]

    async def all(self) -> Sequence[Client]:
        """Every client, revoked ones included, in the order they were added."""
        async with self._store.snapshot() as reading:
            rows = await reading.rows(select(clients).order_by(clients.c.id))
        return [client_of(row) for row in rows]

    async def add(
        self,
        *,
        door: Door,
        name: str,
        permissions: frozenset[Permission],
        key: str | None,
        secret_sha256: str | None,
        identity: tuple[str, str] | None,
        now: datetime,
    ) -> Client:
        """Add a client with a key and the hash of its secret, or with an identity. Raises `ConflictError`."""
        issuer, subject = identity or (None, None)
        statement = (
            insert(clients)
            .values(
                door=door.value,
                name=name,
                permissions=json.dumps(sorted(permissions)),
                key=key,
                secret_sha256=secret_sha256,
                issuer=issuer,
                subject=subject,
                created_at=micros(now),
            )
            .returning(clients)
        )
        try:
            return client_of((await self._change(statement))[0])
        except UnfitDataError as error:
            raise ConflictError("client_exists", f"there is a client {subject or key!r} already") from error

    async def rotate(self, client_id: ClientId, *, key: str, secret_sha256: str) -> Client:
        """Give a client a new key and secret: it stays itself, and keeps its orders. Raises `NotFoundError`."""
        statement = update(clients).where(clients.c.id == client_id, clients.c.key.is_not(None))
        rows = await self._change(statement.values(key=key, secret_sha256=secret_sha256).returning(clients))
        if not rows:
            raise NotFoundError(f"there is no client {client_id} with a key and secret")
        return client_of(rows[0])

    async def revoke(self, client_id: ClientId, now: datetime) -> Client:
        """Let a client call no more. Raises `NotFoundError`."""
        statement = update(clients).where(clients.c.id == client_id).values(revoked_at=micros(now)).returning(clients)
        rows = await self._change(statement)
        if not rows:
            raise NotFoundError(f"there is no client {client_id}")
        return client_of(rows[0])

    async def _row(self, condition: ColumnElement[bool]) -> RowMapping | None:
        try:
            async with self._store.snapshot() as reading:
                rows = await reading.rows(select(clients).where(condition))
        except UnfitDataError:  # what no row can hold (a NUL), no row has
            return None
        return rows[0] if rows else None

    async def _change(self, statement: Executable) -> Sequence[RowMapping]:
        async with self._store.transaction() as tx:
            return await tx.rows(statement)
