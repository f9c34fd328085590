"""Which public keys does an issuer of tokens have right now?

A key set comes from a file or a URL and is known by `kid`. It is read at the start and every few minutes, so that a
withdrawn key stops counting; an unknown `kid` makes it look again, at most once a minute. Nobody but the caller with
the unknown `kid` ever waits for it.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from countermand.actions.errors import KeySetUnavailableError

log = structlog.get_logger()

_LOOK_AGAIN_S: Final = 60.0
_FETCH_LIMIT_S: Final = 5.0
_LARGEST_SET_BYTES: Final = 1 << 20


class KeyRing:
    """The keys of one issuer, from a path or an http(s) URL. `changes` counts how often the set became another."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._keys: Mapping[str, RSAKey] = {}
        self._loaded = b""
        self._failed = True
        self._looked_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self.changes = 0

    async def key(self, kid: str) -> RSAKey | None:
        """The key with this id, or None. Raises `KeySetUnavailableError` where only the issuer could tell."""
        if kid not in self._keys:
            await self._look_again()
        if kid not in self._keys and self._failed:
            raise KeySetUnavailableError
        return self._keys.get(kid)

    async def refresh(self) -> None:
        """Read the set now. What cannot be had leaves the old set standing."""
        self._looked_at = time.monotonic()
        try:
            content = await self._content()
            if content != self._loaded:
                self._keys = _read(content)
                self._loaded = content
                self.changes += 1
            self._failed = False
        except Exception as error:  # noqa: BLE001 - whatever an issuer may send, or not send: the old set stands
            self._failed = True
            log.warning("key set unavailable", source=self._source, error=repr(error))

    async def _look_again(self) -> None:
        """At most once a minute, and once for however many callers wait."""
        if self._looking is None:
            if self._looked_at is not None and time.monotonic() - self._looked_at < _LOOK_AGAIN_S:
                return
            self._looking = asyncio.create_task(self.refresh(), name="key set")
            self._looking.add_done_callback(lambda _: setattr(self, "_looking", None))
        await asyncio.shield(self._looking)

    async def _content(self) -> bytes:
        if self._source.startswith(("http://", "https://")):
            async with asyncio.timeout(_FETCH_LIMIT_S):
                return await _fetched(self._source)
        return await asyncio.to_thread(Path(self._source).read_bytes)


async def _fetched(url: str) -> bytes:
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
    """RSA signature keys alone: nothing else can verify RS256, so nothing else can be confused for one."""
    listed = json.loads(content)["keys"]
    if not isinstance(listed, list):
        raise TypeError("the keys of a key set are a list")
    ours = [
        one for one in listed if isinstance(one, dict) and one.get("kty") == "RSA" and one.get("use", "sig") == "sig"
    ]
    keys = [_key(one) for one in ours]
    return {key.kid: key for key in keys if key is not None and key.kid}


def _key(written: dict[str, Any]) -> RSAKey | None:
    """A key that cannot be read is left out: the others of its set still count."""
    try:
        return RSAKey.import_key(written)
    except (JoseError, ValueError, TypeError) as error:
        log.warning("unreadable key in a key set", error=str(error))
        return None
