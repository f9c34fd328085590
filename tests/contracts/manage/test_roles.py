"""The roles, and every call of the management API: what each role may do, and what it is refused."""

from typing import Final

import pytest

from countermand.domain.client import DESK_PERMISSIONS, Permission
from countermand.domain.staff import PERMISSIONS_OF, Role
from support.manage_calls import problem
from support.shared_world import shared_world
from support.world import World

world = shared_world

EVERYBODY: Final = frozenset(Role)
RECORDERS: Final = frozenset({Role.SUPPORT, Role.FINANCE, Role.AUTHOR, Role.ADMIN})
CANCELLERS: Final = frozenset({Role.SUPPORT, Role.AUTHOR, Role.ADMIN})
OVERRIDERS: Final = frozenset({Role.AUTHOR, Role.APPROVER, Role.ADMIN})
ADMINS: Final = frozenset({Role.ADMIN})
PAYERS: Final = frozenset({Role.FINANCE, Role.AUTHOR, Role.ADMIN})
RECEIVERS: Final = frozenset({Role.AUTHOR, Role.ADMIN})
# Each call, and the roles that may make it. Nothing that the paths name is there.
ALLOWED: Final = {
    "GET /orders": EVERYBODY,
    "GET /orders/{id}": EVERYBODY,
    "GET /orders/{id}/cancellability": EVERYBODY,
    "POST /orders/{id}/cancel": CANCELLERS,
    "POST /orders/{id}/restore": CANCELLERS,
    "POST /orders/{id}/payments": RECORDERS,
    "POST /orders/{id}/payments/{reference}/void": PAYERS,
    "POST /orders/{id}/payments/{reference}/assign": PAYERS,
    "POST /orders/{id}/refunds": PAYERS,
    "POST /orders/{id}/refunds/{reference}/failed": PAYERS,
    "POST /orders/{id}/chargebacks": PAYERS,
    "GET /events": EVERYBODY,
    "GET /endpoints": RECEIVERS,
    "POST /endpoints": RECEIVERS,
    "GET /endpoints/{endpoint}": RECEIVERS,
    "DELETE /endpoints/{endpoint}": RECEIVERS,
    "GET /endpoints/{endpoint}/attempts": RECEIVERS,
    "POST /endpoints/{endpoint}/pause": RECEIVERS,
    "POST /endpoints/{endpoint}/resume": RECEIVERS,
    "POST /endpoints/{endpoint}/rotate": RECEIVERS,
    "POST /endpoints/{endpoint}/test": RECEIVERS,
    "POST /endpoints/{endpoint}/redeliver": RECEIVERS,
    "GET /approvals": EVERYBODY,
    "GET /approvals/{approval}": EVERYBODY,
    "POST /approvals/{approval}/confirm": OVERRIDERS,
    "POST /approvals/{approval}/withdraw": OVERRIDERS,
    "POST /orders/{id}/moves": RECORDERS,
    "POST /orders/{id}/appointments": RECORDERS,
    "PUT /orders/{id}/appointments/{appointment}": RECORDERS,
    "DELETE /orders/{id}/appointments/{appointment}": RECORDERS,
    "POST /orders/{id}/appointments/{appointment}/state": RECORDERS,
    "GET /appointment-tasks": EVERYBODY,
    "POST /orders/{id}/appointment-tasks/{task}/answer": RECORDERS,
    "GET /calendar/slots": EVERYBODY,
    "PUT /calendar/slots": RECORDERS,
    "GET /catalogue": EVERYBODY,
    "PUT /catalogue": RECORDERS,
    "GET /cancellations": EVERYBODY,
    "GET /refusals": EVERYBODY,
    "GET /refusals/reasons": EVERYBODY,
    "GET /late-payments": EVERYBODY,
    "GET /refunds": EVERYBODY,
    "GET /part-payments": EVERYBODY,
    "GET /clients": ADMINS,
    "POST /clients": ADMINS,
    "PUT /clients/{client}/redirects": ADMINS,
    "POST /clients/{client}/change": ADMINS,
    "POST /clients/{client}/rotate": ADMINS,
    "POST /clients/{client}/revoke": ADMINS,
    "POST /clients/{client}/restore": ADMINS,
    "POST /privacy/export": ADMINS,
    "POST /privacy/forget": ADMINS,
    "GET /staff": ADMINS,
    "POST /staff": ADMINS,
    "POST /staff/{staff}/change": ADMINS,
    "POST /staff/{staff}/disable": ADMINS,
    "POST /staff/{staff}/enable": ADMINS,
    "POST /staff/{staff}/tokens": ADMINS,
    "POST /staff/{staff}/tokens/{key}/revoke": ADMINS,
}
_NAMED: Final = {
    "id": "connect-999",
    "appointment": "9",
    "task": "9",
    "client": "999",
    "staff": "nobody",
    "key": "k",
    "reference": "r",
    "approval": "0" * 32,
    "endpoint": f"ep_{'0' * 16}",
}


async def test_every_call_is_allowed_to_the_roles_that_the_table_names_and_refused_to_all_others(world: World):
    console = await world.manage_client(permissions=frozenset())
    people = {role: await world.person(role.value, role, client=console) for role in Role}
    document = (await world.http.get("/docs/manage/openapi.json")).json()
    calls = {
        f"{method.upper()} {path.removeprefix('/manage/v1')}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert calls == ALLOWED.keys(), "a call without a row, or a row without a call"

    wrong = []
    for call, allowed in ALLOWED.items():
        method, _, template = call.partition(" ")
        for role, person in people.items():
            answer = await world.http.request(
                method, f"/manage/v1{template.format(**_NAMED)}", headers=world.manage_headers(person), content=b"[]"
            )
            forbidden = answer.status_code == 403
            if forbidden:
                assert problem(answer) == (403, "forbidden")
            if forbidden is (role in allowed) or answer.status_code == 401:
                wrong.append(f"{call} as {role}: {answer.status_code}")
    assert wrong == []


def test_each_role_permits_what_its_name_says():
    read, record, cancel = Permission.READ, Permission.RECORD, Permission.CANCEL
    author = {read, record, cancel, *_named("money", "override", "plan", "endpoints", "subscribe")}
    assert {
        Role.VIEWER: {read},
        Role.SUPPORT: {read, record, cancel},
        Role.FINANCE: {read, record, Permission.MONEY},
        Role.AUTHOR: author,
        Role.APPROVER: {read, *_named("override", "approve")},
        Role.ADMIN: DESK_PERMISSIONS - {Permission.ACT_AS},
    } == PERMISSIONS_OF


@pytest.mark.parametrize("role", Role)
def test_no_role_permits_to_act_for_somebody_or_what_only_a_contract_asks_for(role: Role):
    assert not PERMISSIONS_OF[role] & _named("act_as", "create", "read_all")


def _named(*names: str) -> frozenset[Permission]:
    return frozenset(map(Permission, names))
