"""Which key signs our own access tokens at an instant, and which keys count?

A key counts from its making until it is retired, and signs from a later instant: so every node, and everybody who
remembers our key set, knows it before meeting it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

TOKEN_LIFE: Final = timedelta(seconds=3000)  # documented: `exp` - `iat` of the published token
CLOCKS_APART: Final = timedelta(seconds=60)  # ours: how far the nodes' clocks may be from each other


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningKey:
    """A key of our own. `number` counts up: of several that may sign, the newest does. `private_key` is a JWK."""

    number: int
    kid: str
    private_key: str = field(repr=False)
    created_at: datetime
    signs_from: datetime
    retired_at: datetime | None = None

    def counts_at(self, now: datetime) -> bool:
        """Whether tokens signed with it are taken, and its public part is published."""
        return self.retired_at is None or now < self.retired_at

    def outlives_a_token_of(self, now: datetime) -> bool:
        """Whether a token signed now could be used to its end."""
        return self.retired_at is None or now + TOKEN_LIFE <= self.retired_at


def signer(keys: Iterable[SigningKey], now: datetime) -> SigningKey | None:
    """The newest that may sign already; where that one was withdrawn, the next in line signs before its time."""
    lasting = [key for key in keys if key.counts_at(now) and key.outlives_a_token_of(now)]
    started = [key for key in lasting if key.signs_from <= now]
    if started:
        return max(started, key=lambda key: key.number)
    return min(lasting, key=lambda key: (key.signs_from, key.number), default=None)


def retires_at(next_signs_from: datetime) -> datetime:
    """When a key may go whose successor signs from an instant: once its last token has expired on every clock."""
    return next_signs_from + TOKEN_LIFE + CLOCKS_APART
