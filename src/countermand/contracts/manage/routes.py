"""The operator's API as one module."""

from collections.abc import Sequence
from typing import Final

from countermand.actions.ports import ClientAdministration
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.contract import Access
from countermand.contracts.manage import appointments, catalogue, orders
from countermand.contracts.manage.calls import ROOT
from countermand.contracts.manage.clients import ManagedClients
from countermand.contracts.manage.translate import problem_answer
from countermand.domain.contract import MANAGE

# The calls about clients are not among these: they need more than a call's services.
ROUTES: Final = (*orders.ROUTES, *appointments.ROUTES, *catalogue.ROUTES)


def api_module(clients: ClientAdministration, accesses: Sequence[Access]) -> ApiModule:
    """The operator's calls. `accesses` has the channels that a client may be added to."""
    return ApiModule(
        name=MANAGE,
        title="Countermand: management",
        about="Ours: for the operator and the systems beside Countermand.",
        prefix=ROOT,
        routes=(*ROUTES, *ManagedClients(clients, accesses).routes()),
        cancel=None,
        error_answer=problem_answer,
        security={"bearer": {"type": "http", "scheme": "bearer"}},
    )
