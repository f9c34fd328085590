"""Staff in the operator's API: list, add, change, disable, enable, give and revoke tokens.

An answer with a token is never stored.
"""

from collections.abc import Sequence
from typing import Final

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.identity.ports import ClientAdministration
from countermand.actions.identity.staff import NewToken, StaffAdministration, make_token
from countermand.contracts.http.answer import Answer, indented, json_answer
from countermand.contracts.http.body import read, shown
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, Request, ServiceCall, body_of, no_body
from countermand.contracts.http.lists import list_answer
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.manage import staff_messages as messages
from countermand.contracts.manage.calls import ROOT, check_visible, operation
from countermand.domain.client import ClientId, Permission
from countermand.domain.staff import Role, Staff
from countermand.domain.staff_id import STAFF_ID_PATTERN, StaffId, staff_id_from

_STAFF: Final = ROOT + "/staff"
_ONE: Final = _STAFF + "/{staff}"
_ID: Final = parameter(
    "staff", "path", "The person's id", {"type": "string", "pattern": f"^{STAFF_ID_PATTERN}$", "examples": ["kim"]}
)
_KEY: Final = parameter("key", "path", "The public half of the token", {"type": "string"})


class ManagedStaff:
    """The calls on people. `clients` are those that a person may call with."""

    def __init__(self, staff: StaffAdministration, clients: ClientAdministration) -> None:
        self._staff = staff
        self._clients = clients

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on people with their handlers."""
        given = body_of(messages.StaffTokenGiven)
        return (
            ServiceCall(operation=_LIST, body=no_body, handle=self._list),
            ServiceCall(operation=_ADD, body=_named, handle=self._add),
            ServiceCall(operation=_CHANGE, body=_changes, handle=self._change),
            ServiceCall(operation=_DISABLE, body=no_body, handle=self._disable),
            ServiceCall(operation=_ENABLE, body=no_body, handle=self._enable),
            ServiceCall(operation=_ADD_TOKEN, body=given, handle=self._add_token),
            ServiceCall(operation=_REVOKE_TOKEN, body=no_body, handle=self._revoke_token),
        )

    async def _list(self, _: CallContext[None]) -> Answer:
        return await list_answer(await self._staff.all(), _shown, lambda staff: messages.StaffList(staff=staff))

    async def _add(self, context: CallContext[messages.StaffGiven]) -> Answer:
        given = context.body
        roles = frozenset(map(Role, given.roles))
        now, by = context.services.clock(), context.actor.staff_id
        added = await self._staff.add(StaffId(given.id), name=given.name, roles=roles, now=now, by=by)
        return json_answer(201, _shown(added))

    async def _change(self, context: CallContext[messages.StaffChange]) -> Answer:
        given = context.body
        roles = None if given.roles is None else frozenset(map(Role, given.roles))
        now, by = context.services.clock(), context.actor.staff_id
        changed = await self._staff.change(_id(context.request), name=given.name, roles=roles, now=now, by=by)
        return json_answer(200, _shown(changed))

    async def _disable(self, context: CallContext[None]) -> Answer:
        now, by = context.services.clock(), context.actor.staff_id
        return json_answer(200, _shown(await self._staff.disable(_id(context.request), now, by)))

    async def _enable(self, context: CallContext[None]) -> Answer:
        now, by = context.services.clock(), context.actor.staff_id
        return json_answer(200, _shown(await self._staff.enable(_id(context.request), now, by)))

    async def _add_token(self, context: CallContext[messages.StaffTokenGiven]) -> Answer:
        given, now = context.body.client_id, context.services.clock()
        client_id = context.client.id if given is None else ClientId(given)
        by = context.actor.staff_id
        made = await make_token(self._staff, self._clients, _id(context.request), client_id, now, by=by)
        return json_answer(201, _with_token(made))

    async def _revoke_token(self, context: CallContext[None]) -> Answer:
        request = context.request
        key, now = request.path_parameters["key"], context.services.clock()
        if not (key.isascii() and key.isprintable()):  # a database would refuse a NUL and a lone surrogate
            raise NotFoundError(f"there is no token {shown(key)}")
        by = context.actor.staff_id
        return json_answer(200, _shown(await self._staff.revoke_token(_id(request), key, now, by)))


def staff_as_json(staff: Sequence[Staff]) -> str:
    """Return the people as the call that lists them answers, indented for people."""
    return indented(messages.StaffList(staff=[_shown(one) for one in staff]))


def person_as_json(person: Staff) -> str:
    """Return a person as the call that adds one answers, indented for people."""
    return indented(_shown(person))


def token_as_json(made: NewToken) -> str:
    """Return a new token as the call that makes it answers, indented for people."""
    return indented(_with_token(made))


def _with_token(made: NewToken) -> messages.NewStaffToken:
    return messages.NewStaffToken(staff=_shown(made.staff), key=made.key, token=made.token)


def _named(given: DecodedBody) -> messages.StaffGiven:
    person = read(messages.StaffGiven, given.json)
    check_visible("name", person.name)
    return person


def _changes(given: DecodedBody) -> messages.StaffChange:
    change = read(messages.StaffChange, given.json)
    if change.name is None and change.roles is None:
        raise FieldsError([(name, f"{name} is missing: give name, roles or both") for name in ("name", "roles")])
    if change.name is not None:
        check_visible("name", change.name)
    return change


def _id(request: Request) -> StaffId:
    given = request.path_parameters["staff"]
    staff_id = staff_id_from(given)
    if staff_id is None:
        raise NotFoundError(f"there is no person {shown(given)}")
    return staff_id


def _shown(one: Staff) -> messages.Staff:
    return messages.Staff(
        id=one.id,
        name=one.name,
        roles=sorted(role.value for role in one.roles),
        permissions=sorted(one.permissions),
        created_at=one.created_at,
        disabled_at=one.disabled_at,
        tokens=[
            messages.StaffToken(
                key=token.key, client_id=token.client_id, created_at=token.created_at, revoked_at=token.revoked_at
            )
            for token in one.tokens
        ],
    )


_LIST: Final = operation(
    "listStaff",
    "GET",
    _STAFF,
    "List the people who work for the operator",
    Permission.ADMINISTER,
    {200: Reply(when="All people, including disabled ones", message=messages.StaffList)},
)
_ADD: Final = operation(
    "addStaff",
    "POST",
    _STAFF,
    "Add a person. The person can call after a token was made",
    Permission.ADMINISTER,
    {201: Reply(when="The new person", message=messages.Staff)},
    request=messages.StaffGiven,
    takes_key=False,
)
_DISABLE: Final = operation(
    "disableStaff",
    "POST",
    _ONE + "/disable",
    "Disable a person: no token of the person counts any more. The records keep the person's id",
    Permission.ADMINISTER,
    {200: Reply(when="The disabled person", message=messages.Staff)},
    parameters=[_ID],
    takes_key=False,
    conflicts=False,
)
_CHANGE: Final = operation(
    "changeStaff",
    "POST",
    _ONE + "/change",
    "Change a person's name, the roles, or both. Running servers know it within seconds",
    Permission.ADMINISTER,
    {200: Reply(when="The changed person", message=messages.Staff)},
    request=messages.StaffChange,
    parameters=[_ID],
    takes_key=False,
    conflicts=False,
)
_ENABLE: Final = operation(
    "enableStaff",
    "POST",
    _ONE + "/enable",
    "Enable a disabled person. The tokens from before stay stopped: make a new token",
    Permission.ADMINISTER,
    {200: Reply(when="The enabled person", message=messages.Staff)},
    parameters=[_ID],
    takes_key=False,
    conflicts=False,
)
_ADD_TOKEN: Final = operation(
    "addStaffToken",
    "POST",
    _ONE + "/tokens",
    "Make a token with which a person calls this API",
    Permission.ADMINISTER,
    {201: Reply(when="The person with the token, which is never shown again", message=messages.NewStaffToken)},
    request=messages.StaffTokenGiven,
    parameters=[_ID],
    answers_secret=True,
)
_REVOKE_TOKEN: Final = operation(
    "revokeStaffToken",
    "POST",
    _ONE + "/tokens/{key}/revoke",
    "Revoke a token of a person. The person's other tokens still count",
    Permission.ADMINISTER,
    {200: Reply(when="The person", message=messages.Staff)},
    parameters=[_ID, _KEY],
    takes_key=False,
    conflicts=False,
)
