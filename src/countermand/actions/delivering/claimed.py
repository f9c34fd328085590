"""What a node may send and until when, how an attempt ended, and the rows about it in the log of attempts."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from countermand.actions.delivering.ports import AttemptWriting, Delivery, EventKey, LoggedAttempt
from countermand.actions.delivering.sending import AttemptError, AttemptResult, Sending

LEASE: Final = timedelta(seconds=20)  # longer than an attempt, which has 15 s


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A lease on lanes, from an instant of the database's clock on. `lease` names the holder."""

    lease: str
    at: datetime

    @property
    def until(self) -> datetime:
        """When the lease ends, and any node may go on."""
        return self.at + LEASE


def new_claim(at: datetime) -> Claim:
    """Return a claim with a lease that nobody else has."""
    return Claim(lease=secrets.token_hex(8), at=at)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedEvent:
    """An event that this node may send. `following_at` is when the next event of the lane was recorded, if known."""

    sending: Sending
    delivery: Delivery
    lease: str
    claimed_at: datetime
    following_at: datetime | None
    is_probe: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedAttempt:
    """A claimed event, with how the attempt ended."""

    claimed: ClaimedEvent
    result: AttemptResult


async def log_cut_off(tx: AttemptWriting, claimed: Sequence[ClaimedEvent], now: datetime) -> None:
    """Log the attempts of which nobody knows how they ended, because their node did not write it."""
    cut = AttemptResult(error=AttemptError.CUT_OFF, duration_ms=0)
    rows = []
    for one in claimed:
        if one.delivery.attempts > 1:
            row = log_row(EndedAttempt(claimed=one, result=cut), "failed")
            rows.append(replace(row, attempt=row.attempt - 1, at=now))
    if rows:
        await tx.log_attempts(rows)


def log_row(one: EndedAttempt, outcome: str) -> LoggedAttempt:
    """Return the row of the log about an attempt."""
    delivery, result = one.claimed.delivery, one.result
    return LoggedAttempt(
        number=0,
        endpoint=delivery.endpoint,
        key=EventKey(order_id=delivery.key.order_id, order_version=delivery.key.order_version, kind=delivery.key.kind),
        event_id=one.claimed.sending.event_id,
        attempt=one.claimed.sending.attempt,
        at=one.claimed.claimed_at,
        duration_ms=result.duration_ms,
        address=result.address,
        status=result.status,
        error=None if result.error is None else result.error.value,
        detail=result.detail,
        answer=result.answer,
        outcome=outcome,
    )
