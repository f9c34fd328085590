"""Clients in the operator's API: list, add, change, rotate, revoke. Answers that have a secret are never stored.

Clients of connect have keys or issuers of their own, so the command line adds them.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, cast

import msgspec

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.identity.ports import ClientAdministration
from countermand.actions.identity.secrets import hash_of, new_key, new_secret
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.body import read
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, Request, ServiceCall, no_body
from countermand.contracts.http.contract import Access
from countermand.contracts.http.lists import list_answer
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.redirect_url import redirects_given
from countermand.contracts.manage import client_messages as messages
from countermand.contracts.manage.calls import ROOT, operation
from countermand.domain.client import LARGEST_CLIENT_ID, Client, ClientId, Permission
from countermand.domain.contract import MANAGE, Channel
from countermand.domain.orders.order import order_id_from
from countermand.domain.redirects import NO_REDIRECTS, Redirects

_CLIENTS: Final = ROOT + "/clients"
_CLIENT: Final = parameter("client", "path", "The client's id", {"type": "integer"})


class ManagedClients:
    """The calls on clients. `accesses` are the channels of this node."""

    def __init__(self, clients: ClientAdministration, accesses: Sequence[Access]) -> None:
        self._clients = clients
        self._accesses = {access.channel: access for access in accesses if access.has_secrets}
        self._client_given = _client_given(sorted(self._accesses))

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on clients with their handlers."""
        return (
            ServiceCall(operation=_LIST, body=no_body, handle=self._list),
            ServiceCall(operation=self._add_operation(), body=self._named, handle=self._add),
            ServiceCall(operation=_REDIRECTS, body=self._redirects, handle=self._change_redirects),
            ServiceCall(operation=_ROTATE, body=no_body, handle=self._rotate),
            ServiceCall(operation=_REVOKE, body=no_body, handle=self._revoke),
        )

    async def _list(self, _: CallContext[None]) -> Answer:
        return await list_answer(await self._clients.all(), _shown, lambda clients: messages.Clients(clients=clients))

    async def _add(self, context: CallContext[messages.ClientGiven]) -> Answer:
        given = context.body
        access = self._accesses[Channel(given.contract)]
        permissions = frozenset(map(Permission, given.permissions)) or access.default_permissions
        key, secret = new_key(), new_secret()
        added = await self._clients.add(
            channel=access.channel,
            name=given.name,
            permissions=permissions,
            key=key,
            secret_sha256=hash_of(secret),
            identity=None,
            now=context.services.clock(),
            redirects=_redirects_given(given, access),
        )
        return json_answer(201, self._keyed(added, secret))

    async def _change_redirects(self, context: CallContext[messages.RedirectsGiven]) -> Answer:
        client_id = _client_id(context.request)
        known = await self._clients.one(client_id)
        redirects = _redirects_given(context.body, self._accesses.get(known.channel))
        return json_answer(200, _shown(await self._clients.change_redirects(client_id, redirects)))

    async def _rotate(self, context: CallContext[None]) -> Answer:
        client_id, secret = _client_id(context.request), new_secret()
        rotated = await self._clients.rotate(client_id, key=new_key(), secret_sha256=hash_of(secret))
        return json_answer(200, self._keyed(rotated, secret))

    async def _revoke(self, context: CallContext[None]) -> Answer:
        client_id = _client_id(context.request)
        return json_answer(200, _shown(await self._clients.revoke(client_id, context.services.clock())))

    def _add_operation(self) -> Operation:
        contracts = " or ".join(channel for channel in self._accesses if channel != MANAGE)
        return operation(
            "addClient",
            "POST",
            _CLIENTS,
            f"Add a client of the {contracts} contract or of this API",
            Permission.ADMINISTER,
            {201: Reply(when="The client with its secret, which is never shown again", message=messages.KeyedClient)},
            request=self._client_given,
            takes_key=False,
            conflicts=False,
        )

    def _named(self, given: DecodedBody) -> messages.ClientGiven:
        client = read(self._client_given, given.json)
        if not client.name.strip():
            raise FieldsError([("name", "name must have a visible character")])
        unknown = self._accesses[Channel(client.contract)].unknown(map(Permission, client.permissions))
        if unknown is not None:
            raise FieldsError([("permissions", f"permissions: {unknown}")])
        return client

    def _redirects(self, given: DecodedBody) -> messages.RedirectsGiven:
        return read(messages.RedirectsGiven, given.json)

    def _keyed(self, client: Client, secret: str) -> messages.KeyedClient:
        """Return a client with its key and secret and, if its channel takes them as one token, with that token."""
        return messages.KeyedClient(
            client=_shown(client),
            key=client.key or "",
            secret=secret,
            token=f"{client.key}.{secret}" if self._accesses[client.channel].joins_secrets else None,
        )


def clients_as_json(clients: Sequence[Client]) -> str:
    """Return the clients as the call that lists them answers, indented for people."""
    listed = msgspec.json.encode(messages.Clients(clients=[_shown(one) for one in clients]))
    return msgspec.json.format(listed, indent=2).decode()


def _client_given(channels: Sequence[str]) -> type[messages.ClientGiven]:
    """Return the message with the names of the channels whose clients have a secret, for the call's description."""
    said = "The contract that the client calls, or manage for this API"
    fields = [("contract", Annotated[Literal[tuple(channels)], msgspec.Meta(description=said)])]
    made = msgspec.defstruct(
        "ClientGiven",
        fields,
        bases=(messages.ClientGiven,),
        kw_only=True,
        namespace={"__doc__": messages.ClientGiven.__doc__},
    )
    return cast("type[messages.ClientGiven]", made)


def _client_id(request: Request) -> ClientId:
    number = order_id_from(request.path_parameters["client"])  # an order's number has the same form: it counts from 1
    if number is None or number > LARGEST_CLIENT_ID:
        raise NotFoundError("there is no such client")
    return ClientId(number)


def _redirects_given(given: messages.ClientGiven | messages.RedirectsGiven, access: Access | None) -> Redirects:
    """Return the addresses of a request. Raises `FieldsError`."""
    redirects = redirects_given(given.redirect_url, given.redirect_schemes)
    if redirects != NO_REDIRECTS and (access is None or not access.leads_back):
        field = "redirect_url" if redirects.url is not None else "redirect_schemes"
        said = f"{field} must be left out for this client: its orders have no payment page, which leads buyers back"
        raise FieldsError([(field, said)])
    return redirects


def _shown(client: Client) -> messages.Client:
    return messages.Client(
        id=client.id,
        contract=client.channel,
        name=client.name,
        permissions=sorted(one.value for one in client.permissions),
        key=client.key,
        identity=None if client.identity is None else list(client.identity),
        created_at=client.created_at,
        revoked_at=client.revoked_at,
        redirect_url=client.redirects.url,
        redirect_schemes=list(client.redirects.schemes),
    )


_LIST: Final = operation(
    "listClients",
    "GET",
    _CLIENTS,
    "List the clients",
    Permission.ADMINISTER,
    {200: Reply(when="All clients, including revoked ones", message=messages.Clients)},
)
_REDIRECTS: Final = operation(
    "setRedirects",
    "PUT",
    _CLIENTS + "/{client}/redirects",
    "Set where a client's buyers are led back to. Orders that are already placed keep their address",
    Permission.ADMINISTER,
    {200: Reply(when="The changed client", message=messages.Client)},
    request=messages.RedirectsGiven,
    parameters=[_CLIENT],
    takes_key=False,
    conflicts=False,
)
_ROTATE: Final = operation(
    "rotateClient",
    "POST",
    _CLIENTS + "/{client}/rotate",
    "Give a client a new key and secret. The old ones stop working; the client keeps its orders",
    Permission.ADMINISTER,
    {200: Reply(when="The client with its new secret, which is never shown again", message=messages.KeyedClient)},
    parameters=[_CLIENT],
    takes_key=False,
    conflicts=False,
)
_REVOKE: Final = operation(
    "revokeClient",
    "POST",
    _CLIENTS + "/{client}/revoke",
    "Revoke a client: it may no longer call",
    Permission.ADMINISTER,
    {200: Reply(when="The revoked client", message=messages.Client)},
    parameters=[_CLIENT],
    takes_key=False,
    conflicts=False,
)
