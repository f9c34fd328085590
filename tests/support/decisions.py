"""Hypothesis strategies for decisions: facts, policies of every shape, and instants near the limits."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from countermand.domain.cancelling.policy import Policy, policy_of
from countermand.domain.cancelling.rules import IsNotWithin, PastActive, Refunded
from countermand.domain.contract import ContractName
from countermand.domain.known import Unknown
from countermand.domain.orders.order import OrderFacts
from countermand.domain.orders.order_state import CANCELLABLE_STATES, OrderState

CONNECT, SHOPPING = ContractName("connect"), ContractName("shopping")
# As the two contracts declare them: tests/contracts/test_declarations.py compares.
DEFAULT_RULES = {
    CONNECT: (
        {"name": "state_allows"},
        {"name": "no_appointment_within", "notice_h": 26, "past_active": "blocks"},
    ),
    SHOPPING: (
        {"name": "not_already_cancelled"},
        {"name": "state_allows"},
        {"name": "nothing_paid", "refunded": "blocks"},
    ),
}

MICROSECOND = timedelta(microseconds=1)
LONGEST_NOTICE_H = 24 * 366

instants = st.datetimes(datetime(2026, 11, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - given UTC

facts = st.builds(
    OrderFacts,
    # Half of the time one that may be cancelled: otherwise the other rules would seldom be what decides.
    state=st.sampled_from(sorted(CANCELLABLE_STATES)) | st.sampled_from([*OrderState, Unknown("teleported")]),
    appointment_starts_at=st.none() | instants | instants | instants,
    first_payment_at=st.none() | st.none() | instants,
    refunded_in_full=st.booleans(),
)

_notices_h = st.sampled_from([0, 1, 25, 26, 27, LONGEST_NOTICE_H]) | st.integers(0, LONGEST_NOTICE_H)
_narrowed = st.lists(st.sampled_from(sorted(CANCELLABLE_STATES)), unique=True)

# One strategy for each rule that a settings file can name.
ENTRIES = {
    "state_allows": st.builds(
        lambda only: {"name": "state_allows"} | ({} if only is None else {"only": only}), st.none() | _narrowed
    ),
    "not_already_cancelled": st.just({"name": "not_already_cancelled"}),
    "no_appointment_within": st.fixed_dictionaries(
        {
            "name": st.just("no_appointment_within"),
            "notice_h": _notices_h,
            "past_active": st.sampled_from([past.value for past in PastActive]),
        }
    ),
    "nothing_paid": st.sampled_from([{}, *({"refunded": word.value} for word in Refunded)]).map(
        lambda parameters: {"name": "nothing_paid"} | parameters
    ),
}


@st.composite
def policies(draw, contract=None):
    """Any policy a settings file can say: the rules in any order, some of them twice with other parameters."""
    more = st.lists(st.sampled_from(sorted(ENTRIES)), max_size=4)
    entries = [draw(ENTRIES[name]) for name in ["state_allows", *draw(more)]]
    of = contract or draw(st.sampled_from([CONNECT, SHOPPING]))
    return policy_of(of, draw(st.permutations(entries)))


def limits(policy: Policy, facts: OrderFacts) -> list[datetime]:
    """The instants at which some rule's finding about these facts may turn, and one to either side of each."""
    at = {value for value in (facts.appointment_starts_at, facts.first_payment_at) if value is not None}
    for rule in policy.rules:
        value = facts.appointment_starts_at
        if isinstance(rule.comparison, IsNotWithin) and value is not None:
            at.add(value - timedelta(hours=rule.comparison.notice_h))
    return sorted(instant + step for instant in at for step in (-MICROSECOND, timedelta(0), MICROSECOND))


def instants_near(policy: Policy, facts: OrderFacts):
    """Instants at the limits, one microsecond off, or anywhere."""
    near = limits(policy, facts)
    return st.sampled_from(near) | instants if near else instants
