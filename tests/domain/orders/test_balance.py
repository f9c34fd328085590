"""The law of an order's money: what was recorded is in exactly one place, by currency and to the cent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermand.domain.actor import Actor
from countermand.domain.client import ClientId
from countermand.domain.known import Unknown
from countermand.domain.money import Money
from countermand.domain.orders.balance import Balance, balances_of, is_refunded_in_full
from countermand.domain.orders.payment import Payment
from countermand.domain.orders.payment_correction import Correction, CorrectionKind, RefundState

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
REFUND, CHARGEBACK, VOID = CorrectionKind.REFUND, CorrectionKind.CHARGEBACK, CorrectionKind.VOID


def paid(minor, currency="EUR", *, late=False, voided=False):
    money = Money(minor=minor, currency=currency)
    return Payment(reference="p", money=money, recorded_at=NOON, is_late=late, voided_at=NOON if voided else None)


def corrected(minor, kind, state=None, currency="EUR"):
    money = Money(minor=minor, currency=currency)
    return Correction(
        number=1, kind=kind, money=money, reason="r", recorded_at=NOON, actor=Actor(ClientId(1)), state=state
    )


_minor, _currency = st.integers(0, 5000), st.sampled_from(["EUR", "USD"])
_payments = st.lists(st.builds(paid, _minor, _currency, late=st.booleans(), voided=st.booleans()), max_size=6)
_corrections = st.lists(
    st.builds(corrected, _minor, st.just(REFUND), st.sampled_from(RefundState), _currency)
    | st.builds(corrected, _minor, st.just(CHARGEBACK), st.none(), _currency)
    | st.builds(corrected, _minor, st.just(VOID), st.none(), _currency),
    max_size=6,
)


@given(_payments, _corrections)
def test_what_was_recorded_is_the_sum_of_all_places_in_each_currency(payments, corrections):
    for currency, one in balances_of(payments, corrections).items():
        recorded = sum(payment.money.minor for payment in payments if payment.money.currency == currency)
        assert one.recorded == recorded
        assert one.recorded == one.kept + one.due + one.refunded + one.charged_back + one.late + one.voided
        assert min(one.due, one.refunded, one.charged_back, one.late, one.voided) >= 0
        assert one.late == 0 or one.kept >= 0, "late money is there only as long as nothing is missing"


@given(_payments, _corrections, st.randoms())
def test_the_order_of_the_rows_does_not_matter(payments, corrections, random):
    before = balances_of(payments, corrections)
    random.shuffle(payments)
    random.shuffle(corrections)
    assert balances_of(payments, corrections) == before


@given(_payments, _corrections)
def test_kept_is_negative_only_after_a_chargeback_while_what_came_in_covers_the_refunds(payments, corrections):
    for one in balances_of(payments, corrections).values():
        if one.is_covered and not one.charged_back:
            assert one.kept >= 0
            assert one.refundable == one.stands - one.refunded


def test_a_payment_is_kept_until_it_is_voided():
    assert balances_of([paid(2500)], []) == {"EUR": Balance(recorded=2500, kept=2500)}
    assert balances_of([paid(2500, voided=True)], [corrected(2500, VOID)]) == {
        "EUR": Balance(recorded=2500, voided=2500)
    }
    assert balances_of([], []) == {}


def test_a_refund_lowers_what_is_kept_and_then_the_late_money():
    payments = [paid(1000), paid(500, late=True)]
    assert balances_of(payments, [corrected(1000, REFUND, RefundState.DONE)]) == {
        "EUR": Balance(recorded=1500, kept=0, refunded=1000, late=500)
    }
    assert balances_of(payments, [corrected(1001, REFUND, RefundState.DONE)]) == {
        "EUR": Balance(recorded=1500, kept=0, refunded=1001, late=499)
    }


def test_a_refund_that_failed_is_still_due_and_one_that_was_withdrawn_is_kept():
    failed, withdrawn = (corrected(400, REFUND, state) for state in (RefundState.FAILED, RefundState.WITHDRAWN))
    assert balances_of([paid(1000)], [failed]) == {"EUR": Balance(recorded=1000, kept=600, due=400)}
    assert balances_of([paid(1000)], [withdrawn]) == {"EUR": Balance(recorded=1000, kept=1000)}


def test_what_was_paid_off_or_came_back_counts_nowhere_because_another_row_has_its_amount():
    for state in (RefundState.PAID_OFF, RefundState.RETURNED):
        assert balances_of([paid(1000)], [corrected(400, REFUND, state)]) == {"EUR": Balance(recorded=1000, kept=1000)}
        assert not corrected(400, REFUND, state).is_due
    assert corrected(400, REFUND, RefundState.PAID_OFF).was_owed
    assert not corrected(400, REFUND, RefundState.RETURNED).was_owed


def test_a_void_must_leave_enough_for_what_is_due_beside_a_chargeback():
    due, taken = corrected(600, REFUND, RefundState.DUE), corrected(400, CHARGEBACK)
    (enough,) = balances_of([paid(1000)], [due, taken]).values()
    assert (enough.kept, enough.is_covered, enough.refundable) == (0, True, 600)
    (short,) = balances_of([paid(999)], [due, taken]).values()
    assert (short.kept, short.is_covered, short.refundable) == (-1, False, 599)
    (lost,) = balances_of([paid(999)], [corrected(600, REFUND, RefundState.DONE), taken]).values()
    assert (lost.kept, lost.is_covered, lost.refundable) == (-1, True, 0)


def test_a_chargeback_of_what_was_refunded_is_missing():
    gone = [corrected(1000, REFUND, RefundState.DONE), corrected(1000, CHARGEBACK)]
    (one,) = balances_of([paid(1000)], gone).values()
    assert one == Balance(recorded=1000, kept=-1000, refunded=1000, charged_back=1000)
    assert (one.refundable, one.is_covered) == (0, True)


def test_a_correction_of_a_newer_version_counts_nowhere_and_says_that_it_is_not_known():
    strange = corrected(400, Unknown("write_off"))
    assert balances_of([paid(1000)], [strange]) == {"EUR": Balance(recorded=1000, kept=1000)}
    assert not strange.is_known
    assert not corrected(400, REFUND, Unknown("parked")).is_known
    assert corrected(400, REFUND, RefundState.DUE).is_known


_DONE = RefundState.DONE


@pytest.mark.parametrize(
    ("payments", "corrections", "is_refunded"),
    [
        ([], [], False),
        ([paid(10)], [], False),
        ([paid(10)], [corrected(9, REFUND, _DONE)], False),
        ([paid(10)], [corrected(10, REFUND, _DONE)], True),
        ([paid(10)], [corrected(10, CHARGEBACK)], True),
        ([paid(10)], [corrected(4, REFUND, _DONE), corrected(5, CHARGEBACK)], False),
        ([paid(10)], [corrected(4, REFUND, _DONE), corrected(6, CHARGEBACK)], True),
        ([paid(10)], [corrected(10, REFUND, _DONE), corrected(10, CHARGEBACK)], True),
        ([paid(10)], [corrected(10, REFUND, RefundState.DUE)], False),
        ([paid(10)], [corrected(10, REFUND, RefundState.FAILED)], False),
        ([paid(10)], [corrected(10, REFUND, RefundState.WITHDRAWN)], False),
        ([paid(10)], [corrected(10, REFUND, Unknown("teleported"))], False),
        ([paid(10)], [corrected(10, Unknown("teleported"))], False),
        ([paid(10)], [corrected(10, REFUND, _DONE, "USD")], False),
        ([paid(10), paid(1, "USD")], [corrected(10, REFUND, _DONE)], False),
        ([paid(10), paid(1, "USD")], [corrected(10, REFUND, _DONE), corrected(1, REFUND, _DONE, "USD")], True),
        ([paid(10), paid(1)], [corrected(10, REFUND, _DONE)], False),
        ([paid(10), paid(1, voided=True)], [corrected(10, REFUND, _DONE)], True),
        ([paid(10), paid(1, late=True)], [corrected(10, REFUND, _DONE)], True),
        ([paid(10, voided=True)], [], False),
        ([paid(10, late=True)], [corrected(10, REFUND, _DONE)], False),
    ],
)
def test_an_order_was_refunded_in_full_if_nothing_is_left_of_its_payments_in_time(payments, corrections, is_refunded):
    assert is_refunded_in_full(payments, corrections) == is_refunded


@given(_payments, _corrections)
def test_nothing_is_kept_of_an_order_that_was_refunded_in_full(payments, corrections):
    stand = [one for one in payments if one.voided_at is None and not one.is_late]
    made = [one for one in corrections if not one.is_due]
    left = {currency: one.kept + one.due for currency, one in balances_of(payments, made).items()}
    nothing_left = all(left[one.money.currency] <= 0 for one in stand)
    assert is_refunded_in_full(payments, corrections) == (bool(stand) and nothing_left)


def test_an_order_was_refunded_in_full_only_from_the_last_refund_to_the_next_payment():
    second = timedelta(seconds=1)
    first, again = paid(10), replace(paid(3), recorded_at=NOON + 5 * second)
    early = replace(corrected(4, CHARGEBACK), recorded_at=NOON + second)
    # A refund that was due long before was made then.
    last = replace(corrected(6, REFUND, _DONE), settled_at=NOON + 3 * second)
    found = [is_refunded_in_full([first, again], [early, last], NOON + number * second) for number in range(-1, 7)]
    assert found == [False, False, False, False, True, True, False, False]
    assert not is_refunded_in_full([first, again], [early, last])
    void = replace(again, voided_at=NOON + 6 * second)
    assert [is_refunded_in_full([first, void], [early, last], NOON + at * second) for at in (4, 5, 6)] == [
        *(True, False, True)
    ]


def test_a_refund_that_came_back_counts_from_the_instant_at_which_it_was_made_until_then():
    second = timedelta(seconds=1)
    made = replace(corrected(10, REFUND, RefundState.RETURNED), reference="re 1", settled_at=NOON + second)
    other = replace(corrected(10, REFUND, RefundState.RETURNED), reference="re 2", settled_at=NOON + 5 * second)
    again = replace(corrected(10, REFUND, RefundState.PAID_OFF), reference="re 1", recorded_at=NOON + 3 * second)
    found = [is_refunded_in_full([paid(10)], [made, again], NOON + number * second) for number in range(5)]
    assert found == [False, True, True, False, False]
    assert not is_refunded_in_full([paid(10)], [made, again])
    last = replace(again, reference="re 2", recorded_at=NOON + 6 * second)
    corrections = [made, again, other, last]
    found = [is_refunded_in_full([paid(10)], corrections, NOON + number * second) for number in range(8)]
    assert found == [False, True, True, False, False, True, False, False]
