"""The calls of the operator's API, all but those about clients, which need more than a call's services."""

from typing import Final

from countermand.contracts.http.calls import Call
from countermand.contracts.manage import appointments, catalogue, orders

CALLS: Final[tuple[Call, ...]] = (*orders.CALLS, *appointments.CALLS, *catalogue.CALLS)
