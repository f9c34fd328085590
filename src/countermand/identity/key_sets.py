"""Reads and caches the public keys of an issuer of tokens.

A key set comes from a file, a URL, an issuer's own description of itself, or the database; keys are found by `kid`. The
set is read at the start and every few minutes, so that a withdrawn key stops counting. An unknown `kid` causes another
read, at most once a minute. Only the caller with the unknown `kid` ever waits for it.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from countermand.actions.errors import KeySetUnavailableError

log = structlog.get_logger()

_LOOK_AGAIN_S: Final = 60.0
_FETCH_LIMIT_S: Final = 5.0
_LARGEST_SET_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a key set: a name for the log, and a function that reads the JSON document."""

    name: str
    read: Callable[[], Awaitable[bytes]]


def source_at(place: str) -> Source:
    """Return the source of a key set in a file or at an http(s) URL."""
    if place.startswith(("http://", "https://")):
        return Source(place, partial(_fetched, place))
    return Source(place, lambda: asyncio.to_thread(Path(place).read_bytes))


def discovered(issuer: str) -> Source:
    """Return the key set that an issuer's own description names (OpenID Connect Discovery, section 4)."""
    return Source(issuer, partial(_discovered, issuer))


class KeyRing:
    """The keys of one issuer. `changes` counts how often the set has changed.

    An unknown key causes a read at most once in `look_again_s` seconds. A caller that comes earlier learns that there
    is no such key or, with `waits`, waits for the next read: that is for a source that is near.
    """

    def __init__(self, source: Source, *, look_again_s: float = _LOOK_AGAIN_S, waits: bool = False) -> None:
        self._source = source
        self._look_again_s = look_again_s
        self._waits = waits
        self._keys: Mapping[str, RSAKey] = {}
        self._loaded = b""
        self._failed = True
        self._looked_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self.changes = 0

    async def key(self, kid: str) -> RSAKey | None:
        """Return the key with this id, or None. Raises `KeySetUnavailableError` if only the issuer could tell."""
        if kid not in self._keys:
            await self._look_again()
        if kid not in self._keys and self._failed:
            raise KeySetUnavailableError
        return self._keys.get(kid)

    async def refresh(self) -> None:
        """Read the set now. If it cannot be read, the old set stays in use."""
        self._looked_at = time.monotonic()
        try:
            async with asyncio.timeout(_FETCH_LIMIT_S):
                content = await self._source.read()
            if content != self._loaded:
                self._keys = _read(content)
                self._loaded = content
                self.changes += 1
            self._failed = False
        except Exception as error:  # noqa: BLE001 - an issuer may send anything: the old set stays in use
            self._failed = True
            log.warning("key set unavailable", source=self._source.name, error=repr(error))

    async def content(self) -> bytes:
        """Return the set as it was last read. Raises `KeySetUnavailableError` if it was never read."""
        if not self._loaded:
            await self._look_again()
        if not self._loaded:
            raise KeySetUnavailableError
        return self._loaded

    async def _look_again(self) -> None:
        """Read the set again, once for all waiting callers, and not too often."""
        if self._looking is None:
            pause_s = 0.0
            if self._looked_at is not None:
                pause_s = max(0.0, self._looked_at + self._look_again_s - time.monotonic())
            if pause_s and not self._waits:
                return
            self._looking = asyncio.create_task(self._refresh_in(pause_s), name="key set")
            self._looking.add_done_callback(lambda _: setattr(self, "_looking", None))
        await asyncio.shield(self._looking)

    async def _refresh_in(self, pause_s: float) -> None:
        if pause_s:
            await asyncio.sleep(pause_s)
        await self.refresh()


async def _discovered(issuer: str) -> bytes:
    described = json.loads(await _fetched(issuer.rstrip("/") + "/.well-known/openid-configuration"))
    if described["issuer"] != issuer:
        raise ValueError(f"it calls itself {described['issuer']!r}")
    key_set = described["jwks_uri"]
    if not isinstance(key_set, str) or not key_set.startswith(("http://", "https://")):
        raise TypeError("its jwks_uri is no http(s) address")
    if issuer.startswith("https://") and not key_set.startswith("https://"):
        raise ValueError("its jwks_uri is without TLS, and it is not")
    return await _fetched(key_set)


async def _fetched(url: str) -> bytes:
    import httpx  # noqa: PLC0415 - slow to import, and most key sets are in the database or a file

    pieces, size = [], 0
    async with httpx.AsyncClient() as client, client.stream("GET", url) as reply:
        reply.raise_for_status()
        async for piece in reply.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST_SET_BYTES:
                raise ValueError(f"a key set of more than {_LARGEST_SET_BYTES} bytes is too large")
    return b"".join(pieces)


def _read(content: bytes) -> Mapping[str, RSAKey]:
    """Read only RSA signature keys: no other key can verify RS256, so no other key can be mistaken for one."""
    listed = json.loads(content)["keys"]
    if not isinstance(listed, list):
        raise TypeError("the keys of a key set are a list")
    ours = [
        one for one in listed if isinstance(one, dict) and one.get("kty") == "RSA" and one.get("use", "sig") == "sig"
    ]
    keys = [_key(one) for one in ours]
    return {key.kid: key for key in keys if key is not None and key.kid}


def _key(written: dict[str, Any]) -> RSAKey | None:
    """Return a key, or None if it cannot be read: the other keys of its set still count."""
    try:
        return RSAKey.import_key(written)
    except (JoseError, ValueError, TypeError) as error:
        log.warning("unreadable key in a key set", error=str(error))
        return None
