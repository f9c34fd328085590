"""All calls of the connect contract, as one API module."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from countermand.actions.appointments.ports import BookingTerms
from countermand.contracts.connect import messages
from countermand.contracts.connect.appointments import ConnectAppointments
from countermand.contracts.connect.calls import VERSION, replies, rules_of
from countermand.contracts.connect.cancel import PATH, ConnectCancel
from countermand.contracts.connect.contract import NAME
from countermand.contracts.connect.orders import ConnectOrders, Plan
from countermand.contracts.connect.translate import ERROR_CODES
from countermand.contracts.connect.versions import Versions
from countermand.contracts.http.api_module import NOT_AFFILIATED, ApiModule
from countermand.contracts.http.calls import Call, CallRules
from countermand.contracts.http.examples import Examples
from countermand.contracts.http.openapi import Operation, Reply
from countermand.domain.client import Permission

CANCEL: Final = Operation(
    name="cancelOrder",
    method="POST",
    path=PATH,
    summary="Cancel an order",
    description=(
        "You can cancel an order if it is cancelable and has no active appointment, or one not within 26 hours of now. "
        "The order is cancelled when the answer arrives. 200, 401, 404 and 500 are documented; the others are inferred."
    ),
    permission=Permission.CANCEL,
    request=messages.CancelRequest,
    takes_key=True,
    parameters=(VERSION,),
    replies=replies(
        {
            200: Reply(when="The request is complete."),
            422: Reply(
                when="A field is invalid, or the order may not be cancelled; the answer lists every reason",
                message=messages.Errors,
            ),
        },
        with_body=True,
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Connect:
    """The contract as one operator offers it: its versions' announcements, the booking terms, and the plans."""

    versions: Versions
    booking: BookingTerms
    plans: Mapping[str, Plan]

    @property
    def cancel(self) -> ConnectCancel:
        """The cancel call."""
        return ConnectCancel(self.versions)

    @property
    def rules(self) -> CallRules:
        """How all other calls are checked."""
        return rules_of(self.versions)

    def calls(self) -> tuple[Call, ...]:
        """All other calls."""
        return (*ConnectOrders(self.plans).calls(), *ConnectAppointments(self.booking).calls())


def api_module(connect: Connect) -> ApiModule:
    """Return the contract's calls with their cancel endpoint, their error answers and their description."""
    return ApiModule(
        name=NAME,
        title="Countermand: connect (telecom wholesale)",
        about=NOT_AFFILIATED + "Every call needs `Authorization: Bearer` and `X-API-VERSION`.",
        prefix="/api/connect",
        calls=connect.calls(),
        rules=connect.rules,
        cancel=(connect.cancel, CANCEL),
        notices=connect.versions.notices,
        security={"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        error_codes=ERROR_CODES,
        examples=Examples(Path(__file__).with_name("examples.json")),
    )
