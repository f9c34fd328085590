"""Makes the people at the demo's desk, and says with which tokens they and the operator's own program call."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from countermand.actions.identity.secrets import hash_of
from countermand.actions.identity.staff import STAFF_TOKEN
from countermand.bootstrap.database import Database
from countermand.demo.credentials import Credentials
from countermand.domain.client import Client, Permission
from countermand.domain.staff import Role
from countermand.domain.staff_id import StaffId

# What the operator's own program may do, without a person.
OPERATOR: Final = frozenset(
    {
        Permission.READ,
        Permission.READ_ALL,
        Permission.CANCEL,
        Permission.RECORD,
        Permission.MONEY,
        Permission.ADMINISTER,
        Permission.ENDPOINTS,
    }
)
# The ids are also the names in the file of the credentials. The author may also do all that the program may.
_ROLES: Final[Mapping[str, frozenset[Role]]] = {
    "author": frozenset({Role.AUTHOR, Role.ADMIN}),
    "approver": frozenset({Role.APPROVER}),
    "viewer": frozenset({Role.VIEWER}),
}


async def desk_tokens(
    database: Database, credentials: Credentials, operator: Client, now: datetime
) -> Mapping[str, str]:
    """Return what `demo.json` has in `manage`. Make the people and tokens that are missing."""
    if not operator.permissions >= OPERATOR:  # an older version's demo
        await database.clients.change(operator.id, name=None, permissions=OPERATOR)
    tokens = {"token": ".".join(credentials.keys["manage"])}
    known = {one.id for one in await database.staff.all()}
    for name, roles in _ROLES.items():
        staff_id, (key, secret) = StaffId(name), credentials.keys[name]
        if staff_id not in known:
            await database.staff.add(staff_id, name=f"The demo's {name}", roles=roles, now=now)
        if await database.staff.by_token_key(key) is None:
            await database.staff.add_token(staff_id, operator.id, key=key, secret_sha256=hash_of(secret), now=now)
        tokens[f"{name}_token"] = f"{STAFF_TOKEN}{key}.{secret}"
    return tokens
