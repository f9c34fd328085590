"""All calls of the operator's API, as one API module."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from countermand.actions.cancelling.restore import UndoTerms
from countermand.actions.delivering.endpoints import EndpointAdministration
from countermand.actions.identity.ports import ClientAdministration
from countermand.actions.identity.staff import StaffAdministration
from countermand.actions.ordering.event_feed import EventFeed
from countermand.actions.ordering.payment_windows import PaymentWindows
from countermand.actions.privacy.ports import PersonalTexts
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.calls import Call
from countermand.contracts.http.contract import Access
from countermand.contracts.http.examples import Examples
from countermand.contracts.manage import appointments, approvals, catalogue, desk_lists, find, orders
from countermand.contracts.manage.calls import ROOT, RULES
from countermand.contracts.manage.clients import ManagedClients
from countermand.contracts.manage.endpoints import ManagedEndpoints
from countermand.contracts.manage.events import ManagedEvents
from countermand.contracts.manage.partner_clients import PartnerTerms
from countermand.contracts.manage.payments import ManagedPayments
from countermand.contracts.manage.privacy import ManagedPrivacy
from countermand.contracts.manage.restore import ManagedRestores
from countermand.contracts.manage.staff import ManagedStaff
from countermand.contracts.manage.translate import ERROR_CODES
from countermand.contracts.manage.webhooks import WEBHOOKS
from countermand.domain.contract import MANAGE

# The calls about clients, persons, corrections of payments and the undoing of cancellations are added later: they need
# more than a call's services.
CALLS: Final[tuple[Call, ...]] = (
    *find.CALLS,
    *orders.CALLS,
    *approvals.CALLS,
    *desk_lists.CALLS,
    *appointments.CALLS,
    *catalogue.CALLS,
)


def api_module(
    clients: ClientAdministration,
    staff: StaffAdministration,
    accesses: Sequence[Access],
    partners: PartnerTerms,
    texts: PersonalTexts | None,
    windows: PaymentWindows,
    undo: UndoTerms | None,
    feed: EventFeed | None,
    endpoints: EndpointAdministration | None,
) -> ApiModule:
    """Return the operator's calls. `accesses` has the channels that a client may be added to.

    `windows` says how long an order of each contract can be paid after a void reopened it. Without `texts`, the calls
    about persons are only described; without `undo`, so is the call that undoes a cancellation, without `feed` that
    which reads events, and without `endpoints` those on endpoints.
    """
    return ApiModule(
        name=MANAGE,
        title="Countermand: management",
        about="Ours: for the operator and the operator's other systems.",
        prefix=ROOT,
        calls=(
            *CALLS,
            *ManagedPayments(windows).calls(),
            *ManagedRestores(undo).calls(),
            *ManagedClients(clients, accesses, partners).calls(),
            *ManagedPrivacy(texts).calls(),
            *ManagedStaff(staff, clients).calls(),
            *ManagedEvents(feed).calls(),
            *ManagedEndpoints(endpoints).calls(),
        ),
        rules=RULES,
        cancel=None,
        security={"bearer": {"type": "http", "scheme": "bearer"}},
        error_codes=ERROR_CODES,
        examples=Examples(Path(__file__).with_name("examples.json")),
        webhooks=WEBHOOKS,
    )
