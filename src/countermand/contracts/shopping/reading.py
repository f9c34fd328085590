"""What do all reads of the shopping contract have in common? Who may, what is named, and what can go wrong."""

import re
from collections.abc import Mapping
from typing import Final

from countermand.actions.errors import NotFoundError
from countermand.contracts.openapi import Reply, parameter
from countermand.contracts.routing import Call, Services
from countermand.contracts.shopping import messages
from countermand.contracts.shopping.access import caller
from countermand.domain.client import Client, Permission
from countermand.domain.order import UID_PATTERN

UID: Final = parameter("uid", "path", "Its uid", {"type": "string", "pattern": f"^{UID_PATTERN}$"})
DOWN: Final[Mapping[int, Reply]] = {
    500: Reply(when="UNKNOWN_ERROR", message=messages.Error),
    503: Reply(
        when="UNAVAILABLE: temporarily down; worth asking again",
        message=messages.Error,
        headers={"Retry-After": "seconds"},
    ),
}
FAILURES: Final[Mapping[int, Reply]] = {
    401: Reply(
        when="UNAUTHORIZED: the credentials are missing or wrong",
        message=messages.Error,
        headers={"WWW-Authenticate": "Basic"},
    ),
    403: Reply(when="FORBIDDEN: a permission is missing", message=messages.Error),
    **DOWN,
}
NOT_FOUND: Final = Reply(when="NOT_FOUND: there is no such thing", message=messages.Error)
WRONG_QUERY: Final = Reply(when="BAD_REQUEST: a parameter does not hold; it is named", message=messages.Error)


async def reader(call: Call, services: Services) -> Client:
    """Who reads. Raises our errors."""
    return await caller(call, services, Permission.READ)


def uid_in(call: Call, what: str) -> str:
    """The uid in the path. Raises `NotFoundError` for what is none."""
    uid = call.path_parameters["uid"]
    if not re.fullmatch(UID_PATTERN, uid):
        raise NotFoundError(f"there is no such {what}")
    return uid
