"""Which key signs the token issuer's access tokens at an instant, and which keys count?

A key counts from its creation until it is retired, and signs from a later instant: so every node, and every reader that
caches the key set, knows the key before a token is signed with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

TOKEN_LIFE: Final = timedelta(seconds=3000)  # documented: `exp` - `iat` of the published token
CLOCKS_APART: Final = timedelta(seconds=60)  # ours: the largest expected difference between the nodes' clocks


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningKey:
    """A signing key. Of several keys that may sign, the one with the highest `number` does. `private_key` is a JWK."""

    number: int
    kid: str
    private_key: str = field(repr=False)
    created_at: datetime
    signs_from: datetime
    retired_at: datetime | None = None

    def counts_at(self, now: datetime) -> bool:
        """Return whether the service accepts the key's tokens and publishes its public part."""
        return self.retired_at is None or now < self.retired_at

    def outlives_a_token_of(self, now: datetime) -> bool:
        """Return whether a token that is signed at `now` could be used until it expires."""
        return self.retired_at is None or now + TOKEN_LIFE <= self.retired_at


def signer(keys: Iterable[SigningKey], now: datetime) -> SigningKey | None:
    """Return the newest key that may sign at `now`. If none may, return the next key, which then signs early."""
    lasting = [key for key in keys if key.counts_at(now) and key.outlives_a_token_of(now)]
    started = [key for key in lasting if key.signs_from <= now]
    if started:
        return max(started, key=lambda key: key.number)
    return min(lasting, key=lambda key: (key.signs_from, key.number), default=None)


def retires_at(next_signs_from: datetime) -> datetime:
    """Return when a key may retire whose successor signs from `next_signs_from`.

    Its last token has then expired by every node's clock.
    """
    return next_signs_from + TOKEN_LIFE + CLOCKS_APART
