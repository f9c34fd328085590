"""What do the bodies of the connect contract look like? Each Struct decodes, checks and describes one body.

Field names are the contract's. They are documented unless marked "inferred" or "ours".
"""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct


class CancelRequest(Struct, kw_only=True):
    """The published body of a cancellation (table 4)."""

    orderId: Annotated[int, Meta(description="The id of the order to cancel", examples=[1])]


class AppointmentContact(Struct, kw_only=True):
    """The person whom the technician meets."""

    name: Annotated[str, Meta(description="The name of the person, from the order's contactName")]
    type: Annotated[str, Meta(description="The person's part in the visit; always Primary Contact")]
    phone: Annotated[str, Meta(description="The person's telephone number, from the order's contactPhone")]
    notes: Annotated[
        str | None, Meta(description="What the technician should know; null, because no request has it")
    ] = None


class Appointment(Struct, kw_only=True):
    """A visit (names of the documented webhook). Instants are UTC, to the second."""

    id: Annotated[int, Meta(description="The appointment's id, which a cancellation of it names as appointmentId")]
    orderId: Annotated[int, Meta(description="The id of the order that the visit is for")]
    nbnAppointmentId: Annotated[
        str, Meta(description="The id in the booking system; if that gave none, APT and twelve digits (ours)")
    ]
    status: Annotated[
        str,
        Meta(
            description="reserved, booked, in_progress, completed, incomplete or cancelled; the first three are active"
        ),
    ]
    startTime: Annotated[datetime, Meta(description="When the visit begins, in UTC to the second")]
    endTime: Annotated[datetime, Meta(description="When the visit ends, in UTC to the second")]
    slotType: Annotated[
        Literal["AM", "PM"] | None,
        Meta(
            description=(
                "Whether the visit is before (AM) or after noon (PM), in the customer's time zone; null if no slot "
                "was booked"
            )
        ),
    ]
    timezoneOffset: Annotated[
        str | None,
        Meta(description="The customer's offset from UTC at that time, as +10:00; null if no slot was booked"),
    ]
    priorityAssist: Annotated[
        bool,
        Meta(
            description="Whether the customer depends on the service for life; always false, because no request has it"
        ),
    ]
    eSla: Annotated[str | None, Meta(description="The order's restorationSla")]
    demandType: Annotated[str, Meta(description="The reason for the visit; always Standard Install")]
    contact: Annotated[AppointmentContact, Meta(description="The person whom the technician meets")]
    customerRef: Annotated[str | None, Meta(description="The order's customerReference")]
    serviceId: Annotated[int | None, Meta(description="The id of the service that came into being with the order")]
    cancelledOn: Annotated[
        datetime | None,
        Meta(description="When the appointment was cancelled, in UTC to the second; null if it was not"),
    ]


class Appointments(Struct, kw_only=True):
    """Ours: the appointments of an order, oldest first."""

    appointments: Annotated[
        list[Appointment], Meta(description="All appointments of the order, cancelled ones included, oldest first")
    ]


class SlotsWanted(Struct, kw_only=True):
    """The published body of a request for slots."""

    orderId: Annotated[int, Meta(description="The id of the order that needs the visit", examples=[1])]
    dateFrom: Annotated[date, Meta(description="Offer slots on or after this date", examples=["2026-12-01"])]


class OfferWithdrawn(Struct, kw_only=True):
    """The published body of a request to cancel an appointment-request."""

    appointmentRequestId: Annotated[
        int, Meta(description="The id of the appointment-request, as its answer and its Location have it", examples=[1])
    ]


class SlotWanted(Struct, kw_only=True):
    """The published body of a booking."""

    appointmentRequestId: Annotated[
        int, Meta(description="The id of the appointment-request that offered the slot", examples=[1])
    ]
    slotId: Annotated[str, Meta(description="The id of the offered slot", min_length=1, max_length=64)]


class AppointmentUnwanted(Struct, kw_only=True):
    """The published body of a request to cancel an appointment."""

    appointmentId: Annotated[int, Meta(description="The id of the appointment to cancel", examples=[1])]


class Slot(Struct, kw_only=True):
    """A time that can be booked (names from a third party's client). `date` is in the customer's time zone."""

    id: Annotated[str, Meta(description="The slot's id, which a booking names as slotId")]
    slotType: Annotated[
        Literal["AM", "PM"],
        Meta(description="Whether the visit is before (AM) or after noon (PM), in the customer's time zone"),
    ]
    date: Annotated[date, Meta(description="The day of the visit in the customer's time zone")]
    startTime: Annotated[datetime, Meta(description="When the visit begins, in UTC to the second")]
    endTime: Annotated[datetime, Meta(description="When the visit ends, in UTC to the second")]
    timezoneOffset: Annotated[str, Meta(description="The customer's offset from UTC at that time, as +10:00")]


class AppointmentRequest(Struct, kw_only=True):
    """The offered slots (inferred, connect decision 26). `id` is the appointmentRequestId of a booking."""

    id: Annotated[int, Meta(description="The request's id, which a booking names as appointmentRequestId")]
    orderId: Annotated[int, Meta(description="The id of the order that needs the visit")]
    dateFrom: Annotated[date, Meta(description="The date of the request: no slot is before it")]
    slots: Annotated[list[Slot], Meta(description="The offered slots. An offer reserves nothing")]


class AppointmentCancellation(Struct, kw_only=True):
    """An appointment that was cancelled on request (inferred, connect decision 26)."""

    id: Annotated[int, Meta(description="The id of the request to cancel")]
    appointmentId: Annotated[int, Meta(description="The id of the cancelled appointment")]
    orderId: Annotated[int, Meta(description="The id of the order that the visit was for")]
    cancelledOn: Annotated[datetime, Meta(description="When the appointment was cancelled, in UTC to the second")]


class BandwidthProfile(Struct, kw_only=True):
    """The plan of an order. The speeds are in Mbit/s, and null if the operator has not described the plan."""

    planName: Annotated[str, Meta(description="The plan, by its name")]
    speedDown: Annotated[
        int | None,
        Meta(description="The speed towards the customer in Mbit/s; null if the operator has not described the plan"),
    ]
    speedUp: Annotated[
        int | None,
        Meta(description="The speed from the customer in Mbit/s; null if the operator has not described the plan"),
    ]
    cvcInclusion: Annotated[
        str | None,
        Meta(description="The shared capacity that the plan includes; null, because only the network knows it"),
    ]


class Infrastructure(Struct, kw_only=True):
    """The infrastructure that the service uses."""

    id: Annotated[str | None, Meta(description="The order's infrastructureId")]
    portId: Annotated[int | None, Meta(description="The port of the NTD, from 1 to 8")]
    productId: Annotated[
        str | None,
        Meta(description="The network's id of the product on the port; null, because only the network knows it"),
    ]


class MoneyAmount(Struct, kw_only=True):
    """An amount of money in the contract's form."""

    amount: Annotated[
        str, Meta(description="The amount in whole dollars and cents, as text with two decimals", examples=["75.00"])
    ]
    currency: Annotated[str, Meta(description="ISO 4217; always AUD")]
    symbol: Annotated[str, Meta(description="The sign of the currency; always $")]


class Fee(Struct, kw_only=True):
    """The charges of the plan; null if the operator has not described the plan."""

    attributes: Annotated[dict[str, str], Meta(description="More about the charge, by name; empty")]
    oneTimeCharge: Annotated[
        MoneyAmount | None, Meta(description="What is charged once; null if the operator has not described the plan")
    ]
    monthlyRecurringCharge: Annotated[
        MoneyAmount | None,
        Meta(description="What is charged each month; null if the operator has not described the plan"),
    ]


class AdditionalFee(Struct, kw_only=True):
    """A charge in addition to the plan's charges."""

    addOnTypeName: Annotated[str, Meta(description="What is charged for")]
    fee: Annotated[Fee, Meta(description="The charge")]


class Order(Struct, kw_only=True):
    """An order. `isCancellable` depends on its state alone, not on the 26 hours (inferred, connect decision 3).

    Names are those of the documented webhook and, for `status`, `fee` and `additionalFees`, of a third party's client.
    Fields that only the network knows (`poi`, `region`, …) are null.
    """

    id: Annotated[int, Meta(description="The order's id, which a cancellation names as orderId")]
    orderType: Annotated[
        Literal["new", "transfer"],
        Meta(description="new, or transfer if the order takes over a service or waives a telephone service"),
    ]
    status: Annotated[
        str,
        Meta(description="submitted, accepted, in_progress, past_no_return, held, rejected, activated or cancelled"),
    ]
    isCancellable: Annotated[
        bool,
        Meta(
            description=(
                "Whether the order's state allows a cancellation. The appointment may still forbid it: see the call "
                "cancellability"
            )
        ),
    ]
    createdOn: Annotated[datetime, Meta(description="Ours: when the order was placed, in UTC to the second")]  # ours
    serviceId: Annotated[
        int | None,
        Meta(
            description=(
                "The id of the service that came into being with the order. The service is active once the order is "
                "activated"
            )
        ),
    ]
    serviceClass: Annotated[
        str | None, Meta(description="The network's class of the location; null, because only the network knows it")
    ]
    technologyType: Annotated[str | None, Meta(description="The kind of line; null, because only the network knows it")]
    trafficClass: Annotated[str | None, Meta(description="The request's trafficClass")]
    installationType: Annotated[str | None, Meta(description="The request's ntdInstallation")]
    customerRef: Annotated[str | None, Meta(description="The request's customerReference")]
    quoteName: Annotated[str | None, Meta(description="The request's quoteName")]
    locId: Annotated[str, Meta(description="The request's locationId")]
    avcId: Annotated[
        str | None, Meta(description="The virtual circuit of the service; null, because only the network knows it")
    ]
    avcIdForTransfer: Annotated[str | None, Meta(description="The virtual circuit that the order takes over")]
    transferType: Annotated[str | None, Meta(description="How the order takes over a service")]
    vlanId: Annotated[int | None, Meta(description="The VLAN tag, from 1 to 4094")]
    poi: Annotated[
        str | None, Meta(description="The point of interconnection; null, because only the network knows it")
    ]
    poiName: Annotated[str | None, Meta(description="The name of that point; null, because only the network knows it")]
    region: Annotated[
        str | None, Meta(description="The region of the location; null, because only the network knows it")
    ]
    eSla: Annotated[str | None, Meta(description="The request's restorationSla")]
    bandwidthProfile: Annotated[BandwidthProfile, Meta(description="The plan with its speeds")]
    infrastructure: Annotated[Infrastructure, Meta(description="The infrastructure that the service uses")]
    aggregationMethod: Annotated[str | None, Meta(description="How the traffic reaches you: L2TP or ETHERNET")]
    isNfas: Annotated[
        bool,
        Meta(
            description="Whether the service is enterprise ethernet; always false, because no such order can be placed"
        ),
    ]
    legacyTechnologyType: Annotated[
        str | None, Meta(description="The kind of an older line; null, because only the network knows it")
    ]
    fee: Annotated[Fee, Meta(description="The charges of the plan as they were when the order was placed")]
    additionalFees: Annotated[
        list[AdditionalFee], Meta(description="Charges in addition to the plan's; empty, because no call adds any")
    ]
    appointments: Annotated[list[Appointment], Meta(description="The visits, oldest first")]


class Orders(Struct, kw_only=True):
    """Ours: a page of the caller's orders, newest first. `next` is the address of the next page."""

    orders: Annotated[list[Order], Meta(description="The orders of this page")]
    next: Annotated[str | None, Meta(description="The address of the next page; null on the last page")]


class Finding(Struct, kw_only=True):
    """Ours: what one rule of the policy found. `changesAt` is the first instant at which its finding will differ."""

    code: Annotated[str, Meta(description="The rule's code, which a refusal has as its code")]
    passed: Annotated[bool, Meta(description="Whether the rule allows the cancellation")]
    message: Annotated[str, Meta(description="What the rule found, as a sentence")]
    changesAt: Annotated[
        datetime | None,
        Meta(
            description=(
                "The first instant at which the finding will differ, in UTC; null if time alone does not change it"
            )
        ),
    ]


class Cancellability(Struct, kw_only=True):
    """Ours: whether an order may be cancelled, why not, and until when.

    `cancellableUntil` is the first instant at which the order can no longer be cancelled.
    """

    orderId: Annotated[int, Meta(description="The id that the path names")]
    cancellable: Annotated[bool, Meta(description="Whether a cancellation would succeed now")]
    cancellableUntil: Annotated[
        datetime | None,
        Meta(
            description=(
                "The first instant at which the order can no longer be cancelled, in UTC; null if there is none, or "
                "the order cannot be cancelled"
            )
        ),
    ]
    decidedAt: Annotated[datetime, Meta(description="The instant that the answer is for, in UTC")]
    findings: Annotated[list[Finding], Meta(description="What each rule of the policy found")]


class Error(Struct, kw_only=True):
    """One error. `field` names the part of the request that is wrong, if there is one."""

    code: Annotated[
        str,
        Meta(description="Why the request failed; stable, for programs. The description of this API lists all codes"),
    ]
    field: Annotated[str | None, Meta(description="The part of the request that is wrong; null if none is")]
    message: Annotated[str, Meta(description="A sentence for people; it may change")]


class Errors(Struct, kw_only=True):
    """The "standard error format".

    The documentation only describes it; the names here are ours (connect decision 17).
    """

    errors: Annotated[list[Error], Meta(description="Every reason, at least one")]
