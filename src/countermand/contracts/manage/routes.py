"""The calls of the operator's API, all but those about clients, which need more than a call's services."""

from typing import Final

from countermand.contracts.manage import appointments, catalogue, orders

ROUTES: Final = (*orders.ROUTES, *appointments.ROUTES, *catalogue.ROUTES)
