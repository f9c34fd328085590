"""Remembers the clients that called recently, so that a request of a known client needs no query.

All remembered clients are read again every few seconds, in one query. A revocation takes effect that soon. Clients that
are not remembered are looked up together, too: after a start, all clients are unknown, and they call at the same time.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, TypeVar

from countermand.actions.identity.ports import Clients, Identity, SecretHashes
from countermand.domain.client import Client

Key = TypeVar("Key")
Known = TypeVar("Known")

_REMEMBERED_CAP: Final = 10_000
_UNKNOWN_CAP: Final = 1_000
_READ_AGAIN_EVERY_S: Final = 0.25  # how often wrong secrets for one key make a node read the database, at most
_NAMES_AT_ONCE: Final = 500  # how many clients one query looks up, at most

_Name = str | Identity
_Found = tuple[Client, SecretHashes | None]
_Query = asyncio.Task[Mapping[_Name, _Found]]


class Directory:
    """Finds clients by key or identity. A change of a client takes effect within `refresh_s` seconds."""

    def __init__(self, clients: Clients, *, refresh_s: float) -> None:
        self._clients = clients
        self._look_up = _Lookups(clients)
        self._refresh_s = refresh_s
        self._by_key: dict[str, tuple[Client, SecretHashes]] = {}
        self._read_again_at: dict[str, float] = {}
        self._by_identity: dict[Identity, Client] = {}
        self._unknown: dict[_Name, None] = {}
        self._refreshed_at = time.monotonic()
        self._refreshing: asyncio.Task[None] | None = None

    def known_by_key(self, key: str) -> tuple[Client, SecretHashes] | None:
        """Return the client with this key, if it is remembered and need not be read again."""
        return None if self._is_old() else self._by_key.get(key)

    def known_by_identity(self, identity: Identity) -> Client | None:
        """Return the client with this identity, if it is remembered and need not be read again."""
        return None if self._is_old() else self._by_identity.get(identity)

    async def by_key(self, key: str) -> tuple[Client, SecretHashes] | None:
        """Return the client with this key, and the hashes of its secrets; None for an unknown key."""
        await self._refresh_if_old()
        if key in self._unknown:
            return None
        if (known := self._by_key.get(key)) is not None:
            return known
        found = _with_hashes(await self._look_up(key))
        if found is None:
            self._remember_unknown(key)
        elif key not in self._by_key:  # the first of several callers with this key has stored it
            make_room(self._by_key, _REMEMBERED_CAP)
            self._by_key[key] = found
        return found

    async def by_key_again(self, key: str) -> tuple[Client, SecretHashes] | None:
        """Read a known key again, as its secret may just have been rotated. Return None if that was done just now."""
        now_s = time.monotonic()
        if now_s - self._read_again_at.get(key, -_READ_AGAIN_EVERY_S) < _READ_AGAIN_EVERY_S:
            return None
        make_room(self._read_again_at, _REMEMBERED_CAP)
        self._read_again_at[key] = now_s
        found = _with_hashes(await self._look_up(key))
        if found is not None and key in self._by_key:
            self._by_key[key] = found
        return found

    async def by_identity(self, identity: Identity) -> Client | None:
        """Return the client with this identity in its tokens; None for an unknown identity."""
        await self._refresh_if_old()
        if identity in self._unknown:
            return None
        if (known := self._by_identity.get(identity)) is not None:
            return known
        found = await self._look_up(identity)
        if found is None:
            self._remember_unknown(identity)
            return None
        client, _ = found
        if identity not in self._by_identity:
            make_room(self._by_identity, _REMEMBERED_CAP)
            self._by_identity[identity] = client
        return client

    def _remember_unknown(self, name: _Name) -> None:
        """Remember an unknown key or identity, apart from the known ones, so that strangers cannot displace those."""
        make_room(self._unknown, _UNKNOWN_CAP)
        self._unknown[name] = None

    def _is_old(self) -> bool:
        return time.monotonic() - self._refreshed_at >= self._refresh_s

    async def _refresh_if_old(self) -> None:
        if not self._is_old():
            return
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh(), name="clients")
            self._refreshing.add_done_callback(lambda _: setattr(self, "_refreshing", None))
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        """Read the remembered clients again in one query, and forget the unknown keys and identities."""
        ids = {client.id for client, _ in self._by_key.values()}
        ids |= {client.id for client in self._by_identity.values()}
        current = await self._clients.current(sorted(ids)) if ids else []
        self._by_key = {client.key: (client, hashes) for client, hashes in current if client.key and hashes}
        self._by_identity = {client.identity: client for client, _ in current if client.identity}
        self._unknown, self._read_again_at = {}, {}
        self._refreshed_at = time.monotonic()


class _Lookups:
    """Reads clients by key or identity. One query runs at a time; all names that come meanwhile are the next query."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._names: set[_Name] = set()  # the names of the next query
        self._next: _Query | None = None
        self._running: _Query | None = None

    async def __call__(self, name: _Name) -> _Found | None:
        """Return the client as it is now: the query starts after this call. Raises what the query raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._read(self._running), name="unknown clients")
        self._names.add(name)
        return (await asyncio.shield(self._next)).get(name)

    async def _read(self, before: _Query | None) -> Mapping[_Name, _Found]:
        if before is not None:
            await asyncio.wait([before])
        names, self._names = list(self._names), set()
        self._running, self._next = self._next, None
        found: dict[_Name, _Found] = {}
        for first in range(0, len(names), _NAMES_AT_ONCE):
            for client, hashes in await self._clients.named(names[first : first + _NAMES_AT_ONCE]):
                found |= {name: (client, hashes) for name in (client.key, client.identity) if name}
        return found


def _with_hashes(found: _Found | None) -> tuple[Client, SecretHashes] | None:
    """Return what was found, or None for a client without a secret."""
    if found is None:
        return None
    client, hashes = found
    return None if hashes is None else (client, hashes)


def make_room(remembered: dict[Key, Known], cap: int) -> None:
    """Forget what was remembered first, if as much as `cap` is remembered."""
    if len(remembered) >= cap:
        del remembered[next(iter(remembered))]
