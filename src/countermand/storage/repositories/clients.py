"""Reads and writes clients. The database never holds a secret, only its SHA-256."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Executable, case, func, insert, literal, or_, select, true, update
from sqlalchemy.engine import RowMapping

from countermand.actions.errors import ConflictError, NotFoundError, TakenError, UnfitDataError
from countermand.actions.identity.ports import ClientKey, Identity, SecretHashes
from countermand.domain.client import OWN_ISSUER, Client, ClientId, Permission
from countermand.domain.contract import MANAGE, Channel
from countermand.domain.instants import written_instant
from countermand.domain.redirects import NO_REDIRECTS, Redirects
from countermand.storage.repositories.rows import client_of, permission_columns
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.store import SqlStore
from countermand.storage.tables.clients import client_keys, clients
from countermand.storage.tables.columns import Instant, instant, instant_or_none, micros

_NAMES: Final = frozenset({"uq_clients_key", "uq_clients_issuer_subject"})  # the unique keys that identify a client

_NONE: Final = timedelta(0)
_NO_PREVIOUS_SECRET: Final[Mapping[str, object]] = {"previous_secret_sha256": None, "previous_secret_until": None}


class SqlClients:
    """Implements `Clients`, and changes clients for the command line."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def by_key(self, key: str) -> tuple[Client, SecretHashes] | None:
        """Return the client with this key, revoked or not, and the hashes of its secrets; None without a secret."""
        found = [(client, hashes) for client, hashes in await self.named([key]) if hashes is not None]
        return found[0] if found else None

    async def by_identity(self, issuer: str, subject: str) -> Client | None:
        """Return the client whose tokens come from `issuer` and name `subject`, revoked or not."""
        found = await self.named([(issuer, subject)])
        return found[0][0] if found else None

    async def named(self, names: Collection[str | Identity]) -> Sequence[tuple[Client, SecretHashes | None]]:
        """See `Clients.named`."""
        it = clients.c
        by_issuer: dict[str, list[str]] = {}
        for issuer, subject in (name for name in names if not isinstance(name, str)):
            by_issuer.setdefault(issuer, []).append(subject)
        has_key = it.key.in_([name for name in names if isinstance(name, str)])
        has_identity = [(it.issuer == issuer) & it.subject.in_(subjects) for issuer, subjects in by_issuer.items()]
        try:
            async with self._store.snapshot() as reading:
                rows = await reading.rows(select(clients).where(or_(has_key, *has_identity)))
        except UnfitDataError:  # a name (for example with a NUL) cannot be stored, so no row has it
            return [found for name in names for found in await self.named([name])] if len(names) > 1 else []
        return [(client_of(row), _hashes_of(row)) for row in rows]

    async def current(self, ids: Sequence[ClientId]) -> Sequence[tuple[Client, SecretHashes | None]]:
        """See `Clients.current`."""
        async with self._store.snapshot() as reading:
            rows = await reading.rows(select(clients).where(clients.c.id.in_(ids)))
        return [(client_of(row), _hashes_of(row)) for row in rows]

    async def all(self) -> Sequence[Client]:
        """Return every client, revoked ones included, in the order they were added."""
        async with self._store.snapshot() as reading:
            rows = await reading.rows(select(clients).order_by(clients.c.id))
        return [client_of(row) for row in rows]

    async def add(
        self,
        *,
        channel: Channel,
        name: str,
        permissions: frozenset[Permission],
        key: str | None,
        secret_sha256: str | None,
        identity: tuple[str, str] | None,
        now: datetime,
        redirects: Redirects = NO_REDIRECTS,
        client_key: ClientKey | None = None,
    ) -> Client:
        """Add a client, either with a key and the hash of its secret, or with an identity and optionally a public key.

        Raises `ConflictError` if there is such a client already.
        """
        issuer, subject = identity or (None, None)
        statement = (
            insert(clients)
            .values(
                door=channel,
                name=name,
                **permission_columns(permissions),
                key=key,
                secret_sha256=secret_sha256,
                issuer=issuer,
                subject=subject,
                created_at=micros(now),
                **_redirect_columns(redirects),
            )
            .returning(clients)
        )
        try:
            async with self._store.transaction() as tx:
                added = client_of((await tx.rows(statement))[0])
                if client_key is not None:
                    await _add_key(tx, added.id, client_key, now)
        except TakenError as error:
            if error.constraint not in _NAMES:
                raise
            raise ConflictError("client_exists", f"there is a client {subject or key!r} already") from error
        return added

    async def rotate(
        self, client_id: ClientId, *, secret_sha256: str, now: datetime, overlap: timedelta | None
    ) -> Client:
        """See `ClientAdministration.rotate`."""
        # This node does not know the form of keys and secrets of a channel that it does not have.
        channels = [MANAGE, *self._store.kinds]
        can = clients.c.key.is_not(None) & clients.c.door.in_(channels)
        is_over = func.coalesce(clients.c.previous_secret_until, 0) <= micros(now)
        fits = true() if overlap == _NONE else ~is_over if overlap is None else is_over
        before: Mapping[str, object] = _NO_PREVIOUS_SECRET if overlap == _NONE else {}
        if overlap:
            before = {"previous_secret_sha256": clients.c.secret_sha256, "previous_secret_until": micros(now + overlap)}
        statement = update(clients).where(clients.c.id == client_id, can, clients.c.revoked_at.is_(None), fits)
        rows = await self._change(statement.values(secret_sha256=secret_sha256, **before).returning(clients))
        if not rows:
            client = await self.one(client_id)
            if client.channel not in channels:
                raise NotFoundError(f"there is no client {client_id} of a contract that this node has")
            raise _why_not_rotated(client, now)
        return client_of(rows[0])

    async def rotate_key(self, client_id: ClientId, new: ClientKey, now: datetime, *, keep_old: bool) -> Client:
        """Give a client of the token issuer a new public key. With `keep_old`, its newest old key goes on counting.

        Raises `NotFoundError`, and `ConflictError` if the client is revoked, or has, or had, this key already.
        """
        counting = (client_keys.c.client_id == client_id) & client_keys.c.revoked_at.is_(None)
        kept = select(client_keys.c.kid).where(counting).order_by(client_keys.c.created_at.desc()).limit(1)
        try:
            async with self._store.transaction() as tx:
                is_it = (clients.c.id == client_id) & (clients.c.issuer == OWN_ISSUER)
                # The client's row is locked, so that of two rotations at once the second stops the first's new key.
                rows = await tx.rows(select(clients).where(is_it).with_for_update())
                if not rows:
                    raise NotFoundError(f"there is no client {client_id} with keys of its own")
                if rows[0]["revoked_at"] is not None:
                    raise _revoked(client_id)
                stays = [row["kid"] for row in await tx.rows(kept)] if keep_old else []
                stopped = update(client_keys).where(counting, client_keys.c.kid.not_in(stays))
                await tx.run(stopped.values(revoked_at=micros(now)))
                await _add_key(tx, client_id, new, now)
        except TakenError as error:
            if error.constraint != "pk_client_keys":
                raise
            raise ConflictError("key_exists", f"client {client_id} has, or had, the key {new.kid} already") from error
        return client_of(rows[0])

    async def one(self, client_id: ClientId) -> Client:
        """Return the client with this number. Raises `NotFoundError`."""
        found = await self.current([client_id])
        if not found:
            raise NotFoundError(f"there is no client {client_id}")
        return found[0][0]

    async def change(
        self, client_id: ClientId, *, name: str | None, permissions: frozenset[Permission] | None
    ) -> Client:
        """See `ClientAdministration.change`."""
        given: dict[str, object] = {} if name is None else {"name": name}
        if permissions is not None:
            given |= permission_columns(permissions)
        return await self._changed(client_id, given)

    async def change_redirects(self, client_id: ClientId, redirects: Redirects) -> Client:
        """Set where a client's buyers may be led back to. Raises `NotFoundError`."""
        return await self._changed(client_id, _redirect_columns(redirects))

    async def revoke(self, client_id: ClientId, now: datetime) -> Client:
        """Revoke a client, so that it can no longer call. Its secret from before a rotation never works again.

        Raises `NotFoundError`.
        """
        return await self._changed(client_id, {"revoked_at": micros(now), **_NO_PREVIOUS_SECRET})

    async def restore(self, client_id: ClientId) -> Client:
        """See `ClientAdministration.restore`.

        A node of an older version revokes without a word about the secret from before a rotation, so that goes here.
        """
        values: Mapping[str, object] = {"revoked_at": None, **_NO_PREVIOUS_SECRET}
        is_revoked = (clients.c.id == client_id) & clients.c.revoked_at.is_not(None)
        rows = await self._change(update(clients).where(is_revoked).values(values).returning(clients))
        return client_of(rows[0]) if rows else await self.one(client_id)

    async def write_last_uses(
        self, uses: Mapping[ClientId, datetime], now: datetime, *, every: timedelta
    ) -> Mapping[ClientId, datetime]:
        """Write when clients called last, where the last use is `every` ago or longer. Return what is stored then."""
        it = clients.c
        is_due = or_(it.last_used_at.is_(None), it.last_used_at <= micros(now - every))
        at = case({client_id: literal(micros(used), Instant) for client_id, used in uses.items()}, value=it.id)
        stored = select(it.id, it.last_used_at).where(it.id.in_(uses), it.last_used_at.is_not(None))
        async with self._store.transaction() as tx:
            newer = or_(it.last_used_at.is_(None), it.last_used_at < at)
            await tx.run(update(clients).where(it.id.in_(uses), is_due, newer).values(last_used_at=at))
            rows = await tx.rows(stored)
        return {ClientId(row["id"]): instant(row["last_used_at"]) for row in rows}

    async def _changed(self, client_id: ClientId, values: Mapping[str, object]) -> Client:
        """Change columns of a client. Without any, return the client. Raises `NotFoundError`."""
        if not values:
            return await self.one(client_id)
        rows = await self._change(update(clients).where(clients.c.id == client_id).values(values).returning(clients))
        if not rows:
            raise NotFoundError(f"there is no client {client_id}")
        return client_of(rows[0])

    async def _change(self, statement: Executable) -> Sequence[RowMapping]:
        async with self._store.transaction() as tx:
            return await tx.rows(statement)


def _hashes_of(row: RowMapping) -> SecretHashes | None:
    """Return the hashes of a client's secrets; None for a client without a secret."""
    if row["secret_sha256"] is None:
        return None
    return SecretHashes(
        current=row["secret_sha256"],
        previous=row["previous_secret_sha256"],
        previous_until=instant_or_none(row["previous_secret_until"]),
    )


def _why_not_rotated(client: Client, now: datetime) -> ConflictError:
    """Return the reason why a client got no new secret."""
    until = client.previous_secret_until
    if client.revoked_at is not None:
        return _revoked(client.id)
    if client.identity is not None:
        said = f"client {client.id} has no secret here: {client.identity[0]} issues its tokens; rotate its secret there"
        return ConflictError("client_without_secret", said)
    if until is not None and until > now:
        said = (
            f"client {client.id} was rotated, and the secret from before works until {written_instant(until)}; it was "
            "not rotated again. If the new secret is lost, send keep_old (--keep-old), which replaces only that one. "
            "Otherwise wait, or stop all its secrets with overlap_s 0 (--overlap-s 0)"
        )
        return ConflictError("secret_overlap", said)
    said = f"client {client.id} has no old secret that works, and was not rotated; leave out keep_old (--keep-old)"
    return ConflictError("no_secret_overlap", said)


def _revoked(client_id: ClientId) -> ConflictError:
    said = f"client {client_id} is revoked, and was not rotated; restore it first if it shall call again"
    return ConflictError("client_revoked", said)


def _redirect_columns(redirects: Redirects) -> dict[str, str | None]:
    """Return the columns of a client's addresses; blanks separate the schemes, which have none."""
    return {"redirect_url": redirects.url, "redirect_schemes": " ".join(redirects.schemes) or None}


async def _add_key(tx: SqlTransaction, client_id: ClientId, new: ClientKey, now: datetime) -> None:
    row = {"client_id": client_id, "kid": new.kid, "public_key": new.public_key, "created_at": micros(now)}
    await tx.run(insert(client_keys).values(row))
