"""Who does something? Each record and each event of an order keeps the answer."""

from typing import NamedTuple

from countermand.domain.client import ClientId
from countermand.domain.contract import Channel
from countermand.domain.staff_id import StaffId


class Actor(NamedTuple):
    """A client, and the person who calls with it, if the token is a person's.

    `acting_as` is whom the client says that it acts for. It stands in the records, and never counts as a person.
    `channel` is None if nobody called, because the service itself did it for the client, as when an order expires.
    `address` is that of the connection, which may be a proxy's. A tuple, because one is made for every cancellation.
    """

    client_id: ClientId
    channel: Channel | None = None
    staff_id: StaffId | None = None
    acting_as: StaffId | None = None
    address: str | None = None
