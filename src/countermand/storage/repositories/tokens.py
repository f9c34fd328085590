"""Reads and writes the token issuer's rows: signing keys, its clients' public keys, and used assertions."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import insert, or_, select, update
from sqlalchemy.engine import RowMapping

from countermand.actions.errors import NotFoundError, TakenError, UnfitDataError
from countermand.actions.identity.ports import ClientKey
from countermand.domain.client import OWN_ISSUER, Client, ClientId
from countermand.domain.signing_key import CLOCKS_APART, SigningKey, retires_at
from countermand.storage.repositories.rows import client_of
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.store import SqlStore
from countermand.storage.tables.clients import client_keys, clients, signing_keys, used_assertions
from countermand.storage.tables.columns import instant, instant_or_none, micros

_NUMBER: Final = "uq_signing_keys_number"
_TRIES: Final = 3


class SqlClientKeys:
    """Implements `ClientKeys`."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def live(self, name: str, kid: str | None) -> tuple[Client, Sequence[ClientKey]] | None:
        """See `ClientKeys.live`."""
        query = (
            select(clients, client_keys.c.kid, client_keys.c.public_key)
            .join(client_keys, client_keys.c.client_id == clients.c.id)
            .where(
                clients.c.issuer == OWN_ISSUER, clients.c.subject == name, clients.c.door.in_(list(self._store.kinds))
            )
            .where(clients.c.revoked_at.is_(None), client_keys.c.revoked_at.is_(None))
            .order_by(client_keys.c.created_at.desc())
        )
        if kid is not None:
            query = query.where(client_keys.c.kid == kid)
        try:
            async with self._store.snapshot() as reading:
                rows = await reading.rows(query)
        except UnfitDataError:  # the value (a NUL, a lone surrogate) cannot be stored, so no row has it
            return None
        if not rows:
            return None
        return client_of(rows[0]), [ClientKey(kid=row["kid"], public_key=row["public_key"]) for row in rows]


class SqlUsedAssertions:
    """Implements `UsedAssertions`."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def use(self, client_id: ClientId, jti_sha256: str, expires_at: datetime) -> bool:
        """See `UsedAssertions.use`. The primary key lets only one call succeed."""
        row = {"client_id": client_id, "jti_sha256": jti_sha256, "expires_at": micros(expires_at)}
        try:
            async with self._store.transaction() as tx:
                await tx.run(insert(used_assertions).values(row))
        except TakenError as error:
            if error.constraint != "pk_used_assertions":
                raise
            return False
        return True


class SqlSigningKeys:
    """Implements `SigningKeys`, and changes keys for the command line."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def all(self) -> Sequence[SigningKey]:
        """See `SigningKeys.all`."""
        async with self._store.snapshot() as reading:
            rows = await reading.rows(select(signing_keys).order_by(signing_keys.c.number))
        return [_key_of(row) for row in rows]

    async def add_first(self, kid: str, private_key: str, now: datetime) -> None:
        """See `SigningKeys.add_first`."""
        try:
            async with self._store.transaction() as tx:
                keys = await _kept(tx)
                if not any(key.counts_at(now) for key in keys):
                    await _add(tx, keys, kid, private_key, now=now, signs_from=now)
        except TakenError as error:
            if error.constraint != _NUMBER:  # another node has just added a key with the same number
                raise

    async def rotate(self, kid: str, private_key: str, now: datetime, *, overlap: timedelta) -> Sequence[SigningKey]:
        """Add a key that counts at once and signs after `overlap`. Older keys retire when they can. Return all keys."""
        signs_from = now + overlap
        for left in reversed(range(_TRIES)):
            try:
                async with self._store.transaction() as tx:
                    keys = await _kept(tx)
                    await _retire_for(tx, keys, signs_from)
                    first = now if not any(key.counts_at(now) for key in keys) else signs_from
                    await _add(tx, keys, kid, private_key, now=now, signs_from=first)
            except TakenError as error:
                if not left or error.constraint != _NUMBER:  # another rotation took the number at the same time
                    raise
            else:
                break
        return await self.all()

    async def withdraw(
        self, kid: str, now: datetime, *, spare_kid: str, spare_private_key: str
    ) -> Sequence[SigningKey]:
        """Retire a key now. If no key without an end is left, the spare signs at once. Raises `NotFoundError`."""
        async with self._store.transaction() as tx:
            keys = await _kept(tx)
            if not any(key.kid == kid and key.counts_at(now) for key in keys):
                raise NotFoundError(f"there is no signing key {kid} in use; `countermand keys list` lists the keys")
            ended = micros(now - CLOCKS_APART)  # so that the key has ended by the clock of every node
            await tx.run(update(signing_keys).where(signing_keys.c.kid == kid).values(retired_at=ended))
            if not any(key.retired_at is None for key in keys if key.kid != kid):
                await _add(tx, keys, spare_kid, spare_private_key, now=now, signs_from=now)
        return await self.all()


async def _kept(tx: SqlTransaction) -> Sequence[SigningKey]:
    """Return all keys and lock their rows: of two transactions that change keys at once, the second sees the first's.

    It takes two statements: a `SELECT ... FOR UPDATE` that had to wait sees the new versions of the rows it began with,
    but not a row that the other transaction has added meanwhile. The next statement sees that row.
    """
    in_order = select(signing_keys).order_by(signing_keys.c.number)
    await tx.rows(in_order.with_for_update())
    return [_key_of(row) for row in await tx.rows(in_order)]


async def _retire_for(tx: SqlTransaction, keys: Sequence[SigningKey], signs_from: datetime) -> None:
    """Set the end of every key that has no end, or a later end than it needs now."""
    ends = micros(retires_at(signs_from))
    before = signing_keys.c.number <= max((key.number for key in keys), default=0)
    lasting = or_(signing_keys.c.retired_at.is_(None), signing_keys.c.retired_at > ends)
    await tx.run(update(signing_keys).where(before, lasting).values(retired_at=ends))


async def _add(
    tx: SqlTransaction, keys: Sequence[SigningKey], kid: str, private_key: str, *, now: datetime, signs_from: datetime
) -> None:
    row = {
        "kid": kid,
        "number": max((key.number for key in keys), default=0) + 1,
        "private_key": private_key,
        "created_at": micros(now),
        "signs_from": micros(signs_from),
    }
    await tx.run(insert(signing_keys).values(row))


def _key_of(row: RowMapping) -> SigningKey:
    return SigningKey(
        number=row["number"],
        kid=row["kid"],
        private_key=row["private_key"],
        created_at=instant(row["created_at"]),
        signs_from=instant(row["signs_from"]),
        retired_at=instant_or_none(row["retired_at"]),
    )
