"""What do all calls of the connect contract have in common? Who calls, in which version; what is answered to what."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from countermand.actions.ports import Transaction
from countermand.actions.run_idempotently import run_idempotently
from countermand.contracts.connect import messages
from countermand.contracts.connect.contract import CHANNEL
from countermand.contracts.connect.translate import error_answer
from countermand.contracts.connect.versions import HEADER, VERSIONS, Versions
from countermand.contracts.http.answer import Answer, ForbiddenError, check_media_type, restored, stored
from countermand.contracts.http.body import decode
from countermand.contracts.http.calls import Call, Services
from countermand.contracts.http.cancel_endpoint import bearer
from countermand.contracts.http.idempotency import idempotency_key
from countermand.contracts.http.openapi import Reply, parameter
from countermand.domain.client import Client, Permission

Given = TypeVar("Given", bound=msgspec.Struct)
Handle = Callable[[Call, Services], Awaitable[Answer]]

_DEPRECATED: Final = " and ".join(str(version.number) for version in VERSIONS if version.is_deprecated)
VERSION: Final = parameter(
    HEADER,
    "header",
    f"The version of the endpoint you are accessing. {_DEPRECATED} are deprecated, and work.",
    {"type": "string", "enum": [str(version.number) for version in VERSIONS]},
)
_REPLIES: Final[Mapping[int, Reply]] = {
    400: Reply(when="The header X-API-VERSION, the Idempotency-Key or the JSON does not hold", message=messages.Errors),
    401: Reply(when="Bearer Token missing or invalid", message=messages.Errors, headers={"WWW-Authenticate": "Bearer"}),
    404: Reply(when="You are not authorised or the id provided does not exist", message=messages.Errors),
    500: Reply(when="There was an unexpected error processing the request", message=messages.Errors),
    503: Reply(
        when="Certainly not done; worth asking again", message=messages.Errors, headers={"Retry-After": "seconds"}
    ),
}
_REPLIES_TO_A_BODY: Final[Mapping[int, Reply]] = {
    413: Reply(when="The body is over 64 KiB", message=messages.Errors),
    415: Reply(when="The body is not JSON in UTF-8", message=messages.Errors),
}


def replies(good: Mapping[int, Reply], *, with_body: bool = False) -> Mapping[int, Reply]:
    """What a call may answer: its own replies, and those of every call."""
    return {**_REPLIES, **(_REPLIES_TO_A_BODY if with_body else {}), **good}


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaking:
    """Who calls and in which version, before anything else is asked."""

    versions: Versions

    async def caller(self, call: Call, services: Services, permission: Permission) -> tuple[Client, int]:
        """The client, if it may do this, and the version it speaks: 401, 400, 404, in this order.

        Connect decision 13.
        """
        client = await services.authenticator.client(CHANNEL, bearer(call.headers))
        version = self.versions.of(call.headers)
        if not client.may(permission):
            raise ForbiddenError(f"the permission {permission} is needed")
        return client, version

    async def change(
        self,
        call: Call,
        services: Services,
        given_in: Callable[[Any, int], Given],
        do: Callable[[Transaction, Client, Given], Awaitable[Answer]],
    ) -> Answer:
        """Do something, in one transaction, once under one key; what cannot be read never gets that far.

        `given_in` reads the decoded body in the version that is spoken.
        """
        check_media_type(call.headers)
        client, version = await self.caller(call, services, Permission.CREATE)
        key = idempotency_key(call.headers, call.method, call.path, call.body)
        given = given_in(decode(call.body), version)

        async def run(tx: Transaction) -> bytes:
            return stored(await do(tx, client, given))

        return restored(
            await run_idempotently(
                services.store, services.clock, client.id, key, run, lambda error: stored(error_answer(error))
            )
        )
