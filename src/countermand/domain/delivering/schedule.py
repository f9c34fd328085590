"""When is an event sent again, when is it given up, and when is an endpoint paused? The schedule is data."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from countermand.domain.delivering.endpoint import PROBED_FROM, Health

# How long after a failed attempt the next one follows. The first attempt is made at once, so there are eleven in all.
_PAUSES: Final = tuple(
    timedelta(seconds=pause_s)
    for pause_s in (5, 30, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
_LATELY: Final = timedelta(seconds=2)
_JITTER: Final = 0.19  # the time that an attempt needs to begin brings it up to a fifth


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """The pauses between the attempts to send an event, and the limits of an endpoint.

    An endpoint is failing after `failing_after` or `failing_attempts` without success, and is paused after
    `paused_after` without success. Every `newest_every`th probe is the newest event instead of the oldest, because
    the receiver may refuse only the oldest ones.
    """

    pauses: Sequence[timedelta] = field(default=_PAUSES)
    failing_after: timedelta = timedelta(hours=1)
    failing_attempts: int = 20
    paused_after: timedelta = timedelta(days=5)
    longest_retry_after: timedelta = timedelta(hours=1)
    newest_every: int = 3

    @property
    def attempts(self) -> int:
        """The number of attempts, after which an event is given up if the endpoint is well otherwise."""
        return len(self.pauses) + 1

    def pause_after(self, attempts: int, chance: float, retry_after_s: float | None = None) -> timedelta:
        """Return the pause after a number of failed attempts. `chance`, from 0 to 1, places it within ±20 %.

        The receiver can ask for a longer pause, up to an hour. The last pause of the schedule repeats.
        """
        pause = self.pauses[min(attempts, len(self.pauses)) - 1] * (1 - _JITTER + 2 * _JITTER * chance)
        if retry_after_s is None:
            return pause
        return max(pause, min(timedelta(seconds=retry_after_s), self.longest_retry_after))

    def is_given_up(self, attempts: int, first_attempt_at: datetime, last_success_at: datetime | None) -> bool:
        """Return whether an event is given up after a failed attempt.

        While the endpoint has had no success since the first attempt, the endpoint is down, and the event waits.
        """
        return attempts >= self.attempts and last_success_at is not None and last_success_at > first_attempt_at

    def is_failing(self, health: Health, now: datetime) -> bool:
        """Return whether an endpoint counts as failing."""
        if health.first_failure_at is None:
            return False
        return health.failures >= self.failing_attempts or now - health.first_failure_at >= self.failing_after

    def is_paused(self, health: Health, now: datetime) -> bool:
        """Return whether an endpoint has been without success for so long that it is paused."""
        return health.first_failure_at is not None and now - health.first_failure_at >= self.paused_after

    def probes_newest(self, health: Health) -> bool:
        """Return whether the next probe is the newest event."""
        return health.failures % self.newest_every == self.newest_every - 1


USUAL_SCHEDULE: Final = Schedule()


def after_success(health: Health, now: datetime) -> Health:
    """Return the health of an endpoint after a success at an instant.

    An attempt that had begun before does not shorten the time that the receiver asked for. A probe's success ends the
    pause of a probed endpoint.
    """
    asked = None if health.is_probed or (health.not_before or now) <= now else health.not_before
    return Health(last_success_at=max(now, health.last_success_at or now), not_before=asked)


def after_failure(
    health: Health,
    order: int,
    now: datetime,
    schedule: Schedule,
    chance: float,
    retry_after_s: float | None,
    *,
    is_probe: bool,
) -> Health:
    """Return the health of an endpoint after a failure. `order` is the number of the order whose event failed.

    If events of several orders failed in a row, and none succeeded lately, only one probe at a time is made, at the
    pace of the schedule; attempts that had begun before do not slow it down. An endpoint that asked for time gets no
    attempt meanwhile.
    """
    was_probed = health.is_probed
    counts = is_probe if was_probed else health.last_failed_order != order
    failing_orders = health.failing_orders + counts
    if health.last_success_at is not None and now - health.last_success_at < _LATELY:
        failing_orders = min(failing_orders, PROBED_FROM - 1)  # it refuses some events, and takes others
    health = replace(
        health,
        failures=health.failures + 1,
        failing_orders=failing_orders,
        last_failed_order=order,
        first_failure_at=health.first_failure_at or now,
    )
    if health.is_probed and (is_probe or not was_probed):
        probes = health.failing_orders - PROBED_FROM + 1
        begins = now + schedule.pause_after(probes, chance, retry_after_s)
        # Of an endpoint that is probed already, `not_before` was the lease of this probe.
        return replace(health, not_before=begins if was_probed else max(begins, health.not_before or begins))
    if retry_after_s is not None and not health.is_probed:
        pause = min(timedelta(seconds=retry_after_s), schedule.longest_retry_after)
        return replace(health, not_before=max(now + pause, health.not_before or now))
    return health
