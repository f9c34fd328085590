"""What do people and their tokens look like in the operator's API? All are ours."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from countermand.domain.client import LARGEST_CLIENT_ID
from countermand.domain.staff import Role
from countermand.domain.staff_id import STAFF_ID_IN_WORDS, STAFF_ID_PATTERN

RoleName = Literal["viewer", "support", "finance", "author", "approver", "admin"]
assert set(get_args(RoleName)) == {role.value for role in Role}


StaffName = Annotated[str, Meta(description="The person's name, for people", min_length=1, max_length=200)]
_ROLES = "The sets of permissions that the person has. docs/desk.md has a table"


class StaffGiven(Struct, kw_only=True):
    """A new person. The id is chosen once, and stands in every record of what the person does."""

    id: Annotated[
        str,
        Meta(
            description=f"How the person is named in records: {STAFF_ID_IN_WORDS}",
            pattern=rf"^{STAFF_ID_PATTERN}$(?!\n)",
            examples=["kim"],
            extra={"in_words": STAFF_ID_IN_WORDS},
        ),
    ]
    name: StaffName
    roles: Annotated[list[RoleName], Meta(description=_ROLES, min_length=1)]


class StaffChange(Struct, kw_only=True):
    """What changes of a person: at least one field. A field that is left out stays as it is."""

    name: StaffName | None = None
    roles: Annotated[list[RoleName], Meta(description=f"{_ROLES}; they replace the old ones", min_length=1)] | None = (
        None
    )


class StaffTokenGiven(Struct, kw_only=True):
    """Whose requests the token's will be, besides the person's."""

    client_id: (
        Annotated[
            int,
            Meta(
                description="The id of a client of this API; the client that asks, if it is left out",
                ge=1,
                le=LARGEST_CLIENT_ID,
            ),
        ]
        | None
    ) = None


class StaffToken(Struct, kw_only=True):
    """The public half of a person's token."""

    key: Annotated[str, Meta(description="The public half of the token, which names it")]
    client_id: Annotated[int, Meta(description="The id of the client that the person calls with")]
    created_at: Annotated[datetime, Meta(description="When the token was made, in UTC")]
    revoked_at: Annotated[datetime | None, Meta(description="When the token was revoked, in UTC; null if it counts")]


class Staff(Struct, kw_only=True):
    """A person who works for the operator."""

    id: Annotated[str, Meta(description="How the person is named in records")]
    name: Annotated[str, Meta(description="The person's name, for people")]
    roles: Annotated[list[str], Meta(description="The sets of permissions that the person has, sorted by name")]
    permissions: Annotated[list[str], Meta(description="What the roles permit together, sorted by name")]
    created_at: Annotated[datetime, Meta(description="When the person was added, in UTC")]
    disabled_at: Annotated[
        datetime | None, Meta(description="Since when no token of the person counts, in UTC; null if they may call")
    ]
    tokens: Annotated[list[StaffToken], Meta(description="All tokens of the person, oldest first")]


class StaffList(Struct, kw_only=True):
    """All people, including disabled ones."""

    staff: Annotated[list[Staff], Meta(description="All people, including disabled ones, sorted by id")]


class NewStaffToken(Struct, kw_only=True):
    """A person with a new token."""

    staff: Annotated[Staff, Meta(description="Whose token it is")]
    key: Annotated[str, Meta(description="The public half of the token, with which it can be revoked")]
    token: Annotated[str, Meta(description="The bearer token for this API. It is shown only once")]
