"""Clients in the operator's API: list, add, change, rotate, revoke, restore.

Answers that have a secret are never stored. A private key is neither taken nor answered.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, cast

import msgspec

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.identity.ports import ClientAdministration
from countermand.actions.identity.secrets import DEFAULT_OVERLAP_S, hash_of, new_key, new_secret
from countermand.contracts.http.answer import Answer, indented, json_answer
from countermand.contracts.http.body import read
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, Request, ServiceCall, body_of, no_body
from countermand.contracts.http.contract import Access
from countermand.contracts.http.lists import list_answer
from countermand.contracts.http.openapi import Operation, Reply, parameter
from countermand.contracts.http.redirect_url import redirects_given
from countermand.contracts.manage import client_messages as messages
from countermand.contracts.manage.calls import ROOT, check_visible, number_in, operation
from countermand.contracts.manage.partner_clients import PartnerTerms, partner_given, public_key_given
from countermand.domain.client import LARGEST_CLIENT_ID, OWN_ISSUER, Client, ClientId, Permission
from countermand.domain.contract import MANAGE, Channel
from countermand.domain.redirects import NO_REDIRECTS, Redirects

_CLIENTS: Final = ROOT + "/clients"
_CHANGEABLE: Final = ("name", "permissions")
_CLIENT: Final = parameter("client", "path", "The client's id", {"type": "integer"})


class ManagedClients:
    """The calls on clients. `accesses` are the channels of this node."""

    def __init__(self, clients: ClientAdministration, accesses: Sequence[Access], partners: PartnerTerms) -> None:
        self._clients, self._partners = clients, partners
        self._accesses = {access.channel: access for access in accesses}
        self._client_given = _client_given(sorted(self._accesses))

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on clients with their handlers."""
        return (
            ServiceCall(operation=_LIST, body=no_body, handle=self._list),
            ServiceCall(operation=self._add_operation(), body=self._named, handle=self._add),
            ServiceCall(operation=_CHANGE, body=self._changes, handle=self._change),
            ServiceCall(operation=_REDIRECTS, body=self._redirects, handle=self._change_redirects),
            ServiceCall(operation=_ROTATE, body=body_of(messages.Rotation), handle=self._rotate),
            ServiceCall(operation=_REVOKE, body=no_body, handle=self._revoke),
            ServiceCall(operation=_RESTORE, body=no_body, handle=self._restore),
        )

    async def _list(self, _: CallContext[None]) -> Answer:
        return await list_answer(await self._clients.all(), _shown, lambda clients: messages.Clients(clients=clients))

    async def _add(self, context: CallContext[messages.ClientGiven]) -> Answer:
        given = context.body
        access = self._accesses[Channel(given.contract)]
        permissions = access.default_permissions
        if given.permissions is not None:
            permissions = frozenset(map(Permission, given.permissions))
        if not access.has_secrets:
            return await self._add_partner(context, access, permissions)
        _check_no_partner(given)
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

    async def _add_partner(
        self, context: CallContext[messages.ClientGiven], access: Access, permissions: frozenset[Permission]
    ) -> Answer:
        """Add a client with access tokens."""
        given = context.body
        partner = partner_given(given, self._partners)
        added = await self._clients.add(
            channel=access.channel,
            name=given.name,
            permissions=permissions,
            key=None,
            secret_sha256=None,
            identity=partner.identity,
            now=context.services.clock(),
            redirects=_redirects_given(given, access),
            client_key=partner.key,
        )
        return json_answer(201, self._keyed(added, key_id=None if partner.key is None else partner.key.kid))

    async def _change(self, context: CallContext[messages.ClientChange]) -> Answer:
        client_id, given = _client_id(context.request), context.body
        permissions = None
        if given.permissions is not None:
            permissions = frozenset(map(Permission, given.permissions))
            known = await self._clients.one(client_id)
            self._check_permissions(known.channel, permissions)
        return json_answer(200, _shown(await self._clients.change(client_id, name=given.name, permissions=permissions)))

    async def _change_redirects(self, context: CallContext[messages.RedirectsGiven]) -> Answer:
        client_id = _client_id(context.request)
        known = await self._clients.one(client_id)
        redirects = _redirects_given(context.body, self._accesses.get(known.channel))
        return json_answer(200, _shown(await self._clients.change_redirects(client_id, redirects)))

    async def _rotate(self, context: CallContext[messages.Rotation]) -> Answer:
        client_id, given, now = _client_id(context.request), context.body, context.services.clock()
        known = await self._clients.one(client_id)
        if known.identity is not None and known.identity[0] == OWN_ISSUER:
            return await self._rotate_key(known, given, now)
        if given.public_key is not None:
            raise FieldsError([("public_key", "public_key must be left out: the client has no key pair")])
        secret, overlap = new_secret(), _overlap(given)
        rotated = await self._clients.rotate(client_id, secret_sha256=hash_of(secret), now=now, overlap=overlap)
        return json_answer(200, self._keyed(rotated, secret))

    async def _rotate_key(self, known: Client, given: messages.Rotation, now: datetime) -> Answer:
        """Give a client of this service's token endpoint another public key."""
        wrong = []
        if given.overlap_s is not None:
            said = "overlap_s must be left out: the client has a key pair; with keep_old, its newest old key works on"
            wrong.append(("overlap_s", said))
        if given.public_key is None:
            said = f"public_key is missing: client {known.id} has a key pair; give the partner's new public key"
            wrong.append(("public_key", said))
        if given.public_key is None or wrong:
            raise FieldsError(wrong)
        key = public_key_given(given.public_key, self._partners)
        rotated = await self._clients.rotate_key(known.id, key, now, keep_old=given.keep_old)
        return json_answer(200, self._keyed(rotated, key_id=key.kid))

    async def _revoke(self, context: CallContext[None]) -> Answer:
        client_id = _client_id(context.request)
        return json_answer(200, _shown(await self._clients.revoke(client_id, context.services.clock())))

    async def _restore(self, context: CallContext[None]) -> Answer:
        return json_answer(200, _shown(await self._clients.restore(_client_id(context.request))))

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
            answers_secret=True,
        )

    def _named(self, given: DecodedBody) -> messages.ClientGiven:
        client = read(self._client_given, given.json)
        check_visible("name", client.name)
        if client.permissions is not None:
            self._check_permissions(Channel(client.contract), frozenset(map(Permission, client.permissions)))
        return client

    def _changes(self, given: DecodedBody) -> messages.ClientChange:
        change = read(messages.ClientChange, given.json)
        if change.name is None and change.permissions is None:
            raise FieldsError([(name, f"{name} is missing: give name, permissions or both") for name in _CHANGEABLE])
        if change.name is not None:
            check_visible("name", change.name)
        return change

    def _check_permissions(self, channel: Channel, permissions: frozenset[Permission]) -> None:
        """Raise `FieldsError` for no permission, and for one that the clients of a channel cannot have."""
        access = self._accesses.get(channel)
        if access is not None and not permissions:
            said = f"must name one or more of {access.possible}, not []; revoke a client that may do nothing"
            raise FieldsError([("permissions", f"permissions {said}")])
        unknown = f"this node does not know the contract {channel}" if access is None else access.unknown(permissions)
        if unknown is not None:
            raise FieldsError([("permissions", f"permissions: {unknown}")])

    def _redirects(self, given: DecodedBody) -> messages.RedirectsGiven:
        return read(messages.RedirectsGiven, given.json)

    def _keyed(self, client: Client, secret: str | None = None, *, key_id: str | None = None) -> messages.KeyedClient:
        return keyed_client(client, self._accesses[client.channel], secret, key_id=key_id)


def keyed_client(
    client: Client, access: Access, secret: str | None = None, *, key_id: str | None = None
) -> messages.KeyedClient:
    """Return a client with its key and secret and, if its channel takes them as one token, with that token."""
    token = f"{client.key}.{secret}" if access.joins_secrets else None
    return messages.KeyedClient(client=_shown(client), key=client.key, secret=secret, token=token, key_id=key_id)


def client_as_json(client: Client) -> str:
    """Return a client as the calls that change one answer, indented for people."""
    return indented(_shown(client))


def clients_as_json(clients: Sequence[Client]) -> str:
    """Return the clients as the call that lists them answers, indented for people."""
    return indented(messages.Clients(clients=[_shown(one) for one in clients]))


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


def _check_no_partner(given: messages.ClientGiven) -> None:
    """Raise `FieldsError` if a client with a secret has a field of a client with access tokens."""
    fields = {"public_key": given.public_key, "client_id": given.client_id, "issuer": given.issuer}
    said = f"must be left out: a {given.contract} client gets a key and a secret"
    wrong = [(name, f"{name} {said}") for name, value in fields.items() if value is not None]
    if wrong:
        raise FieldsError(wrong)


def _overlap(given: messages.Rotation) -> timedelta | None:
    """Return for how long the old secret works; None to keep the one from before the last rotation until its end."""
    if not given.keep_old:
        return timedelta(seconds=DEFAULT_OVERLAP_S if given.overlap_s is None else given.overlap_s)
    if given.overlap_s is not None:
        said = "overlap_s must be left out beside keep_old: the old secret works until the end that it has"
        raise FieldsError([("overlap_s", said)])
    return None


def _client_id(request: Request) -> ClientId:
    number = number_in(request, "client")
    if number > LARGEST_CLIENT_ID:
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
        previous_secret_until=client.previous_secret_until,
        last_used_at=client.last_used_at,
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
_CHANGE: Final = operation(
    "changeClient",
    "POST",
    _CLIENTS + "/{client}/change",
    "Change a client's name, its permissions, or both. Running servers know it within seconds",
    Permission.ADMINISTER,
    {200: Reply(when="The changed client", message=messages.Client)},
    request=messages.ClientChange,
    parameters=[_CLIENT],
    takes_key=False,
    conflicts=False,
)
_ROTATE: Final = operation(
    "rotateClient",
    "POST",
    _CLIENTS + "/{client}/rotate",
    "Give a client a new secret, or take its new public key. The client keeps its key and its orders",
    Permission.ADMINISTER,
    {200: Reply(when="The client with its new secret, which is never shown again", message=messages.KeyedClient)},
    request=messages.Rotation,
    parameters=[_CLIENT],
    answers_secret=True,
    may_lack_body=True,
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
_RESTORE: Final = operation(
    "restoreClient",
    "POST",
    _CLIENTS + "/{client}/restore",
    "Let a revoked client call again, with the last secret or key. A secret from before a rotation stays stopped",
    Permission.ADMINISTER,
    {200: Reply(when="The restored client", message=messages.Client)},
    parameters=[_CLIENT],
    takes_key=False,
    conflicts=False,
)
