"""What does a person ask another one to confirm, and whose confirmation counts?"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from countermand.domain.actor import Actor
from countermand.domain.known import Unknown
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.staff_id import StaffId

ApprovalId = NewType("ApprovalId", str)
APPROVAL_ID_PATTERN: Final = "[0-9a-f]{32}"
APPROVAL_LASTS: Final = timedelta(hours=1)


class ApprovalState(StrEnum):
    """The states of an approval. An open approval is stored as open, and has expired from its instant on."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    OUTDATED = "outdated"  # what it was asked for had changed when somebody confirmed it
    WITHDRAWN = "withdrawn"  # by the person who asked


class Difference(StrEnum):
    """What can have changed between the asking and the confirmation."""

    VERSION = "version"
    CODES = "codes"
    AMOUNT = "amount"


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What an approval is for: the order's version, the codes that are overridden, and the money that becomes due."""

    order_version: int
    codes: tuple[str, ...]
    due: tuple[Money, ...]

    def differences(self, found: "Terms") -> tuple[Difference, ...]:
        """Return what is different in `found`. The order of the codes and of the amounts does not count."""
        differs = {
            Difference.VERSION: self.order_version != found.order_version,
            Difference.CODES: set(self.codes) != set(found.codes),
            Difference.AMOUNT: _by_currency(self.due) != _by_currency(found.due),
        }
        return tuple(one for one, is_so in differs.items() if is_so)


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A cancellation by an override that a person asked for, and that another person has to confirm.

    `last_change` is the number of the last change of a person before the asking. `ended_at` and `ended_by` say who
    confirmed it, withdrew it, or tried to confirm it when the terms had changed; then, `differed` says which.
    """

    id: ApprovalId
    order_id: OrderId
    terms: Terms
    reason: str | None
    asker: Actor
    asked_at: datetime
    last_change: int
    state: ApprovalState | Unknown = ApprovalState.OPEN
    ended_at: datetime | None = None
    ended_by: StaffId | None = None
    differed: tuple[Difference | Unknown, ...] = ()

    @property
    def expires_at(self) -> datetime:
        """The first instant at which it can no longer be confirmed."""
        return self.asked_at + APPROVAL_LASTS

    def state_at(self, now: datetime) -> ApprovalState | Unknown:
        """Return the state at an instant: an open approval expires."""
        if self.state is ApprovalState.OPEN and now >= self.expires_at:
            return ApprovalState.EXPIRED
        return self.state


@dataclass(frozen=True, kw_only=True, slots=True)
class StaffChange:
    """A record that a person was added or changed, or that a token of the person was. The numbers count up.

    `changed_by` is the person who did it; None if a client's own token or the command line did it.
    """

    number: int
    staff_id: StaffId
    changed_at: datetime
    changed_by: StaffId | None


def not_independent_of(asker: StaffId, changes: Iterable[StaffChange]) -> frozenset[StaffId]:
    """Return the persons who cannot confirm what the asker asked for, after these changes.

    The asker cannot. Nor can a person whom the asker or nobody known has added or changed, nor one whom such a person
    has added or changed in turn.
    """
    since = tuple(changes)
    found: set[StaffId | None] = {None, asker}
    before = 0
    while len(found) > before:
        before = len(found)
        found |= {one.staff_id for one in since if one.changed_by in found}
    return frozenset(one for one in found if one is not None)


def _by_currency(amounts: Iterable[Money]) -> dict[str, int]:
    return {one.currency: one.minor for one in amounts}
