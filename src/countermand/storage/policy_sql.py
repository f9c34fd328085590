"""Compiles a policy to an SQL predicate on the order's row. Python evaluates the same policy to explain a decision."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, FromClause, and_, case, or_
from sqlalchemy.engine import Dialect

from countermand.domain.cancelling.policy import Policy
from countermand.domain.cancelling.rules import Comparison, FactName, IsAbsent, IsNotWithin, IsOneOf, PastActive
from countermand.storage.sql_types import Column

_MICROSECONDS_AN_HOUR = 3_600_000_000


def policy_predicate(policy: Policy, orders: FromClause, now: Column) -> ColumnElement[bool]:
    """Return a predicate that is true for exactly those rows of `orders` that `decide` would grant at `now`.

    `now` is in microseconds since 1970.
    """
    return and_(*(_predicate(rule.comparison, orders, now) for rule in policy.rules))


def policies_predicate(policies: Iterable[Policy], orders: FromClause, now: Column) -> ColumnElement[bool]:
    """Return the same for orders of every contract: each order is decided by its own contract's policy."""
    return or_(
        *(and_(orders.c.contract == policy.contract, policy_predicate(policy, orders, now)) for policy in policies)
    )


def as_text(predicate: ColumnElement[bool], dialect: Dialect) -> str:
    """Return the predicate as SQL text with its parameters written out. The parameters never come from a caller."""
    return str(predicate.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _predicate(comparison: Comparison, orders: FromClause, now: Column) -> ColumnElement[bool]:
    column = _fact(comparison.fact, orders)
    match comparison:
        case IsOneOf(states=states):
            return column.in_(sorted(state.value for state in states))
        case IsAbsent():
            return column.is_(None)
        case IsNotWithin(notice_h=notice_h, past_active=past_active):
            later = column > now + notice_h * _MICROSECONDS_AN_HOUR
            begun = [column <= now] if past_active is PastActive.IGNORED else []
            return or_(column.is_(None), later, *begun)


def _fact(fact: FactName, orders: FromClause) -> Column:
    """Return a fact as SQL. `refunded_version` counts only while it is the order's version."""
    if fact is FactName.UNREFUNDED_PAYMENT_AT:
        it = orders.c
        return case((it.refunded_version == it.version, None), else_=it.first_payment_at)
    return orders.c[fact.value]
