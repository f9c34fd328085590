"""Who may call, in the operator's API: list, add, rotate, revoke. Answers that hold a secret are never kept.

Connect clients, which have keys or issuers of their own, are added on the command line.
"""

from typing import Final

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.identity.secrets import hash_of, new_key, new_secret
from countermand.actions.ports import ClientAdministration
from countermand.contracts.http.answer import Answer, check_media_type, json_answer
from countermand.contracts.http.body import decode, read
from countermand.contracts.http.calls import Call, Route, Services
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.manage import messages
from countermand.contracts.manage.calls import ROOT, caller, route
from countermand.domain.client import DEFAULT_PERMISSIONS, LARGEST_CLIENT_ID, Client, ClientId, Permission
from countermand.domain.contract import Door
from countermand.domain.orders.order import order_id_from

_CLIENTS: Final = ROOT + "/clients"
_CLIENT: Final = parameter("client", "path", "The client's id", {"type": "integer"})


class ManagedClients:
    """The calls on clients."""

    def __init__(self, clients: ClientAdministration) -> None:
        self._clients = clients

    def routes(self) -> tuple[Route, ...]:
        """The calls and what answers them."""
        one = {200: Reply(when="The client as it stands", message=messages.Client)}
        keyed = {200: Reply(when="The client, with its new secret: shown this once", message=messages.KeyedClient)}
        added = {201: Reply(when="The client, with its secret: shown this once", message=messages.KeyedClient)}
        return (
            route(
                "listClients",
                "GET",
                _CLIENTS,
                "Who may call",
                self._list,
                {200: Reply(when="All clients, revoked ones, too", message=messages.Clients)},
            ),
            route(
                "addClient",
                "POST",
                _CLIENTS,
                "Let somebody call over the shopping contract or this API",
                self._add,
                added,
                messages.ClientGiven,
                keeps_answers=False,
            ),
            route(
                "rotateClient",
                "POST",
                _CLIENTS + "/{client}/rotate",
                "Give a client a new key and secret; it stays the same client, and the old ones stop",
                self._rotate,
                keyed,
                None,
                _CLIENT,
                keeps_answers=False,
            ),
            route(
                "revokeClient",
                "POST",
                _CLIENTS + "/{client}/revoke",
                "Let a client call no more",
                self._revoke,
                one,
                None,
                _CLIENT,
                keeps_answers=False,
            ),
        )

    async def _list(self, call: Call, services: Services) -> Answer:
        await caller(call, services, Permission.ADMINISTER)
        return json_answer(200, messages.Clients(clients=[_shown(one) for one in await self._clients.all()]))

    async def _add(self, call: Call, services: Services) -> Answer:
        await caller(call, services, Permission.ADMINISTER)
        check_media_type(call.headers)
        given = read(messages.ClientGiven, decode(call.body))
        if not given.name.strip():
            raise FieldsError([("name", "name must say something")])
        door = Door(given.contract)
        permissions = frozenset(map(Permission, given.permissions)) or DEFAULT_PERMISSIONS[door]
        key, secret = new_key(), new_secret()
        added = await self._clients.add(
            door=door,
            name=given.name,
            permissions=permissions,
            key=key,
            secret_sha256=hash_of(secret),
            identity=None,
            now=services.clock(),
        )
        return json_answer(201, _keyed(added, secret))

    async def _rotate(self, call: Call, services: Services) -> Answer:
        await caller(call, services, Permission.ADMINISTER)
        secret = new_secret()
        rotated = await self._clients.rotate(_client_id(call), key=new_key(), secret_sha256=hash_of(secret))
        return json_answer(200, _keyed(rotated, secret))

    async def _revoke(self, call: Call, services: Services) -> Answer:
        await caller(call, services, Permission.ADMINISTER)
        return json_answer(200, _shown(await self._clients.revoke(_client_id(call), services.clock())))


def _client_id(call: Call) -> ClientId:
    number = order_id_from(call.path_parameters["client"])  # numbers of one kind: counted up from 1
    if number is None or number > LARGEST_CLIENT_ID:
        raise NotFoundError("there is no such client")
    return ClientId(number)


def _shown(client: Client) -> messages.Client:
    return messages.Client(
        id=client.id,
        contract=client.door.value,
        name=client.name,
        permissions=sorted(one.value for one in client.permissions),
        key=client.key,
        identity=None if client.identity is None else list(client.identity),
        created_at=client.created_at,
        revoked_at=client.revoked_at,
    )


def _keyed(client: Client, secret: str) -> messages.KeyedClient:
    """With what the client calls with: a key and a secret, or, over this API, the two as one token."""
    is_operator = client.door is Door.MANAGE
    return messages.KeyedClient(
        client=_shown(client),
        key=client.key or "",
        secret=secret,
        token=f"{client.key}.{secret}" if is_operator else None,
    )
