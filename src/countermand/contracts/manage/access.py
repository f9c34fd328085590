"""Who may call the operator's API? Clients whose key and secret are one bearer token."""

from typing import Final

from countermand.contracts.http.contract import Access, Authentication
from countermand.domain.client import DESK_PERMISSIONS, Permission
from countermand.domain.contract import MANAGE

ACCESS: Final = Access(
    channel=MANAGE,
    authentication=(Authentication.KEY_SECRET_TOKEN,),
    default_permissions=frozenset({Permission.READ, Permission.RECORD, Permission.CANCEL}),
    more_permissions=DESK_PERMISSIONS,
)
