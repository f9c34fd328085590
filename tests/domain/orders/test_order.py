from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countermand.domain.appointments.appointment import Appointment, AppointmentId, AppointmentState
from countermand.domain.orders.order import order_id_of

uids = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=32, max_size=32)


@settings(deadline=None)
@given(uids)
def test_the_number_of_a_uid_fits_63_bits_and_is_none_that_is_counted_up_to(uid):
    assert 2**62 <= order_id_of(uid) <= 2**63 - 1


@settings(deadline=None)
@given(uids, uids)
def test_a_uid_leads_to_one_number_and_another_uid_to_another(one, other):
    assert (order_id_of(one) == order_id_of(other)) == (one == other)


def test_the_number_of_a_uid_is_the_same_in_every_version():
    # The first 16 hex digits of its SHA-256 are e0cca2965509df67: shifted by two bits, with the 63rd set.
    assert order_id_of("00000000000000000000000000000001") == 8_661_311_200_002_471_897


@pytest.mark.parametrize(
    ("state", "active"),
    [
        (AppointmentState.RESERVED, True),
        (AppointmentState.BOOKED, True),
        (AppointmentState.IN_PROGRESS, True),
        (AppointmentState.COMPLETED, False),
        (AppointmentState.INCOMPLETE, False),
        (AppointmentState.CANCELLED, False),
    ],
)
def test_an_appointment_is_active_from_its_reservation_to_its_end(state, active):
    starts_at = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
    appointment = Appointment(
        id=AppointmentId(1), state=state, starts_at=starts_at, ends_at=starts_at + timedelta(hours=4)
    )

    assert appointment.is_active is active


def test_every_state_of_an_appointment_is_judged_above():
    assert len(AppointmentState) == 6
