"""Which rules can a cancellation policy consist of?

A rule is data: a name, one fact of the order, a comparison with its parameters, and a sentence for either outcome. This
module evaluates a rule in Python, to explain a decision; `storage/policy_sql.py` compiles the same data to a predicate,
to act on it. A property test checks that both agree, so that no rule is written twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from countermand.domain.instants import written_instant
from countermand.domain.known import Unknown
from countermand.domain.orders.order import OrderFacts
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState

Word = TypeVar("Word", bound=StrEnum)


class FactName(StrEnum):
    """The facts that a rule may use: attributes of `OrderFacts`, which columns of the order's row give."""

    STATE = "state"
    APPOINTMENT_STARTS_AT = "appointment_starts_at"
    FIRST_PAYMENT_AT = "first_payment_at"
    UNREFUNDED_PAYMENT_AT = "unrefunded_payment_at"


class PastActive(StrEnum):
    """Says how the rule about appointments treats an active appointment that has already begun."""

    BLOCKS = "blocks"
    IGNORED = "ignored"


class Refunded(StrEnum):
    """Says how the rule about payments treats an order that was refunded in full."""

    BLOCKS = "blocks"
    IGNORED = "ignored"


@dataclass(frozen=True, kw_only=True, slots=True)
class IsOneOf:
    """Holds if the state is one of `states`."""

    fact: FactName
    states: frozenset[OrderState | Unknown]


@dataclass(frozen=True, kw_only=True, slots=True)
class IsAbsent:
    """Holds if the order has no such instant."""

    fact: FactName


@dataclass(frozen=True, kw_only=True, slots=True)
class IsNotWithin:
    """Holds if there is no such instant, or if it is more than `notice_h` hours ahead: exactly `notice_h` is within.

    A past instant is within, too, unless `past_active` says to ignore it.
    """

    fact: FactName
    notice_h: int
    past_active: PastActive


Comparison = IsOneOf | IsAbsent | IsNotWithin


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A condition for cancelling an order. `code` names a breach of the rule in a refusal, and never changes.

    The sentences may use `{value}` (the fact), `{hours}` (the notice), `{limit}` (the instant from which the notice is
    too short) and `{turns_at}` (the first instant at which the finding changes).
    """

    name: str
    code: str
    comparison: Comparison
    when_kept: str
    when_broken: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one rule: the fact it used, a sentence, and the first instant at which the result changes.

    `turns_at` is None if the passing of time alone changes nothing.
    """

    rule: str
    code: str
    passed: bool
    fact: FactName
    value: str | None
    sentence: str
    turns_at: datetime | None


def examine(rule: Rule, facts: OrderFacts, now: datetime) -> Finding:
    """Evaluate one rule on an order's facts at an instant."""
    value = getattr(facts, rule.comparison.fact)
    passed, turns_at = _compare(rule.comparison, value, now)
    said = _said(value)
    words = {"value": said, "turns_at": _said(turns_at)}
    if isinstance(rule.comparison, IsNotWithin):
        words["hours"] = str(rule.comparison.notice_h)
        limit = None if value is None else value.astimezone(UTC) - timedelta(hours=rule.comparison.notice_h)
        words["limit"] = _said(limit)
    sentence = (rule.when_kept if passed else rule.when_broken).format(**words)
    return Finding(
        rule=rule.name,
        code=rule.code,
        passed=passed,
        fact=rule.comparison.fact,
        value=said,
        sentence=sentence,
        turns_at=turns_at,
    )


def _compare(comparison: Comparison, value: datetime | str | None, now: datetime) -> tuple[bool, datetime | None]:
    match comparison:
        case IsOneOf(states=states):
            return value in states, None
        case IsAbsent():
            return value is None, None
        case IsNotWithin(notice_h=notice_h, past_active=past_active):
            if value is None:
                return True, None
            assert isinstance(value, datetime), "the rule is about an instant"
            # Compare in UTC, because Python compares and shifts datetimes of one local zone by their wall clocks.
            value, now = value.astimezone(UTC), now.astimezone(UTC)
            if past_active is PastActive.IGNORED and value <= now:
                return True, None
            first_no = value - timedelta(hours=notice_h)
            if now < first_no:
                never = past_active is PastActive.IGNORED and notice_h == 0  # it is ignored from when it would block
                return True, None if never else first_no
            return False, value if past_active is PastActive.IGNORED else None


def _said(value: datetime | str | None) -> str | None:
    """Write a fact for a sentence: instants in UTC, with a fraction only if there is one."""
    if isinstance(value, datetime):
        return written_instant(value)
    return None if value is None else str(value)


def state_allows(*, only: list[str] | None = None) -> Rule:
    """The table of transitions lets the order be cancelled; `only` narrows this to the named states.

    Raises `ValueError` if `only` names a state in which the table never allows it: a policy may not widen the table.
    """
    if not isinstance(only, list | None):
        raise ValueError(f"only must be a list of states, not {only!r}")  # noqa: TRY004 - a value of the settings
    states = CANCELLABLE_STATES if only is None else frozenset(OrderState(state) for state in only)
    if not states <= CANCELLABLE_STATES:
        forbidden = ", ".join(sorted(states - CANCELLABLE_STATES))
        raise ValueError(f"an order that is {forbidden} can never be cancelled, so state_allows cannot allow it")
    return Rule(
        name="state_allows",
        code="order_not_cancellable",
        comparison=IsOneOf(fact=FactName.STATE, states=states),
        when_kept="the order is {value}, which may be cancelled",
        when_broken="the order is {value}, which cannot be cancelled",
    )


def not_already_cancelled() -> Rule:
    """The order has not been cancelled before (shopping: documented, 409)."""
    return Rule(
        name="not_already_cancelled",
        code="order_already_cancelled",
        comparison=IsOneOf(fact=FactName.STATE, states=frozenset(OrderState) - {OrderState.CANCELLED}),
        when_kept="the order has not been cancelled before",
        when_broken="the order is already cancelled",
    )


def no_appointment_within(*, notice_h: int, past_active: str = "blocks") -> Rule:
    """The order has no active appointment that starts within `notice_h` hours (connect: documented, 26).

    That exactly `notice_h` hours is within, and that an appointment which began and is still active blocks, is
    inferred (connect decision 4).
    """
    if type(notice_h) is not int or not 0 <= notice_h <= 24 * 366:
        raise ValueError(f"notice_h must be a whole number of hours between 0 and 8784, not {notice_h!r}")
    past = _word(PastActive, "past_active", past_active)
    again = ", and again from {turns_at}" if past is PastActive.IGNORED else ""
    return Rule(
        name="no_appointment_within",
        code="appointment_within_notice",
        comparison=IsNotWithin(fact=FactName.APPOINTMENT_STARTS_AT, notice_h=notice_h, past_active=past),
        when_kept="no active appointment starts within {hours} hours",
        when_broken="the appointment on {value} starts within {hours} hours; cancellable until {limit}" + again,
    )


def nothing_paid(*, refunded: str = "blocks") -> Rule:
    """No payment was ever recorded for the order (documented; that a record is enough: shopping decision 6).

    With `refunded` = `ignored`, payments that were refunded or charged back in full do not refuse (an operator's
    choice). An order with money left of any payment is refused either way.
    """
    name, code = "nothing_paid", "payment_recorded"
    if _word(Refunded, "refunded", refunded) is Refunded.IGNORED:
        return Rule(
            name=name,
            code=code,
            comparison=IsAbsent(fact=FactName.UNREFUNDED_PAYMENT_AT),
            when_kept="no payment is recorded that was not refunded in full",
            when_broken="a payment was recorded on {value} and was not refunded in full; once it is, the order can be "
            "cancelled",
        )
    return Rule(
        name=name,
        code=code,
        comparison=IsAbsent(fact=FactName.FIRST_PAYMENT_AT),
        when_kept="no payment is recorded",
        when_broken="a payment was recorded on {value}; refunds are not supported here",
    )


CODE_PATTERN: Final = "[a-z][a-z0-9_]{0,63}"  # of the code with which a rule refuses


def _word(words: type[Word], parameter: str, given: str) -> Word:
    """Return the word that a parameter names. Raises `ValueError` with the words that there are."""
    try:
        return words(given)
    except ValueError:
        raise ValueError(f"{parameter} must be {' or '.join(words)}, not {given!r}") from None


# Nobody can override a refusal with one of these codes: the order has ended, or the work on it has gone too far.
NEVER_OVERRIDDEN: Final = frozenset({"order_not_cancellable", "order_already_cancelled"})

# The rules that the settings can name, with their parameters.
RULES: Final[Mapping[str, Callable[..., Rule]]] = MappingProxyType(
    {
        "state_allows": state_allows,
        "not_already_cancelled": not_already_cancelled,
        "no_appointment_within": no_appointment_within,
        "nothing_paid": nothing_paid,
    }
)
