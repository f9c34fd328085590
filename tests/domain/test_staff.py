"""People at the desk: their ids, and what their roles permit together."""

from datetime import UTC, datetime

import pytest

from countermand.domain.client import Permission
from countermand.domain.known import Unknown
from countermand.domain.staff import PERMISSIONS_OF, Role, Staff
from countermand.domain.staff_id import StaffId, staff_id_from

KIM = StaffId("kim")


def a_person(*roles: Role | Unknown) -> Staff:
    return Staff(id=KIM, name="Kim", roles=frozenset(roles), created_at=datetime(2026, 11, 21, tzinfo=UTC))


def test_a_person_may_do_what_the_roles_permit_together():
    both = a_person(Role.FINANCE, Role.APPROVER).permissions
    assert both == PERMISSIONS_OF[Role.FINANCE] | PERMISSIONS_OF[Role.APPROVER]
    assert Permission.CANCEL not in both
    assert a_person().permissions == frozenset()


def test_a_role_that_nobody_knows_permits_nothing():
    assert a_person(Unknown("king"), Role.VIEWER).permissions == {Permission.READ}


@pytest.mark.parametrize("text", ["k", "kim", "kim.lee-2_b", "k" * 64])
def test_this_can_be_the_id_of_a_person(text: str):
    assert staff_id_from(text) == text


@pytest.mark.parametrize("text", ["", "Kim", "1kim", ".kim", "kim lee", "kim\n", "kím", "k" * 65])
def test_this_cannot_be_the_id_of_a_person(text: str):
    assert staff_id_from(text) is None
