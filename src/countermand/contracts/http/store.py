"""All that the calls can read and write: the union of the protocols that the actions name.

A call hands its transaction on to an action, which takes only what it needs. `storage` implements the union.
"""

from typing import Protocol

from countermand.actions.appointments.ports import (
    AppointmentReading,
    AppointmentWriting,
    CalendarReading,
    CalendarWriting,
    TaskReading,
    TaskWriting,
)
from countermand.actions.cancelling.approval_ports import ApprovalReading, ApprovalWriting
from countermand.actions.cancelling.ports import DecisionWriting, PolicyContents, PolicyUses
from countermand.actions.catalogue.ports import (
    CatalogueLists,
    CatalogueWriting,
    NumberedOffers,
    OfferReading,
    ProductLock,
    Stock,
    VoucherReading,
)
from countermand.actions.idempotency import KeptAnswers
from countermand.actions.ordering.correction_ports import CorrectionReading, CorrectionWriting
from countermand.actions.ordering.desk_lists import DeskLists
from countermand.actions.ordering.ports import (
    ExpiryReading,
    ExpiryWriting,
    OrderChange,
    OrderInsertion,
    OrderLists,
    OrderViews,
    PaymentReading,
    PaymentWriting,
)
from countermand.actions.ordering.search_ports import OrderSearch
from countermand.actions.ports import NumberSource, Snapshots, Transactions
from countermand.actions.ticketing.ports import (
    ConsumerLists,
    ConsumerReading,
    ConsumerWriting,
    TicketDetails,
    TicketReading,
    TicketRelease,
    TicketRestoring,
    TicketWithdrawal,
    VoucherUses,
)
from countermand.actions.ticketing.seat_ports import FreeSeats, SeatAssignment, SeatPlans, SeatPlanWriting


class Reading(
    OrderLists,
    OrderSearch,
    PaymentReading,
    CorrectionReading,
    ExpiryReading,
    AppointmentReading,
    TaskReading,
    CalendarReading,
    CatalogueLists,
    OfferReading,
    VoucherReading,
    TicketReading,
    ConsumerReading,
    ConsumerLists,
    SeatPlans,
    FreeSeats,
    PolicyContents,
    PolicyUses,
    DeskLists,
    ApprovalReading,
    Protocol,
):
    """Reads from one consistent state."""


class Transaction(
    OrderInsertion,
    OrderChange,
    PaymentWriting,
    CorrectionWriting,
    DecisionWriting,
    ApprovalWriting,
    ExpiryWriting,
    AppointmentWriting,
    TaskWriting,
    CalendarWriting,
    CatalogueWriting,
    Stock,
    ProductLock,
    VoucherUses,
    TicketWithdrawal,
    TicketRelease,
    TicketRestoring,
    TicketDetails,
    ConsumerWriting,
    SeatPlanWriting,
    SeatAssignment,
    NumberSource,
    NumberedOffers,
    KeptAnswers,
    Reading,
    Protocol,
):
    """Reads and writes that commit together or not at all."""


class Store(Snapshots[Reading], Transactions[Transaction], OrderViews, Protocol):
    """The database, as the calls need it."""
