"""What do the bodies of the connect contract look like? Each Struct decodes, checks and describes one body.

Field names are the contract's. They are documented unless marked "inferred" or "ours".
"""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from countermand.contracts.connect.versions import required_from
from countermand.contracts.http.typed_text import EMAIL_IN_WORDS, EMAIL_WITH_DOMAIN_PATTERN, Phone


class CancelRequest(Struct, kw_only=True):
    """The published body of a cancellation (table 4)."""

    orderId: Annotated[int, Meta(description="The id of the order to cancel", examples=[1])]


Short = Annotated[str, Meta(min_length=1, max_length=100)]


def _needed(operation: str, field: str) -> Meta:
    return Meta(description=f"Required from version {required_from(operation)[field]} on")


State = Literal["ACT", "NSW", "NT", "QLD", "SA", "TAS", "VIC", "WA"]


class CreateRequest(Struct, kw_only=True):
    """An order for a service. Names and limits are documented, except those marked.

    Some fields depend on each other; an answer with errors names them all. The `ntd…` fields, `portId`, `requireVLAN`
    and `vlanId` are from a third party's client. Patterns and numbers of characters that are not documented are
    inferred.
    """

    sourceType: Literal["nbn"]
    contactName: Annotated[str, Meta(min_length=1, max_length=40)]
    contactPhone: Phone
    contactEmail: Annotated[
        str,
        Meta(max_length=50, pattern=EMAIL_WITH_DOMAIN_PATTERN, examples=["jo@example.com"], extra=EMAIL_IN_WORDS),
    ]
    remoteQualificationSearchId: Annotated[
        Short, Meta(description="From the qualification", examples=["QS000000000001"])
    ]
    qualificationSearchId: Annotated[Short, Meta(description="From the qualification", examples=["1"])]
    locationId: Annotated[str, Meta(pattern=r"^LOC[0-9]{12}$(?!\n)", examples=["LOC380100009114"])]
    planName: Annotated[Short, Meta(examples=["Home Fast 100/20"])]
    term: Annotated[int, Meta(ge=0, le=120, description="Months", examples=[1])]
    aggregationMethod: Annotated[Literal["L2TP", "ETHERNET"] | None, _needed("createOrder", "aggregationMethod")] = None
    customerReference: Annotated[str, Meta(max_length=200)] | None = None
    quoteName: Annotated[str, Meta(max_length=50)] | None = None
    remoteOrderId: Short | None = None
    trafficClass: Annotated[str, Meta(max_length=20, examples=["tc4"])] | None = None
    productType: Annotated[str, Meta(max_length=50, examples=["Access Only"])] | None = None
    restorationSla: Annotated[str, Meta(max_length=50, examples=["Standard"])] | None = None
    infrastructureId: (
        Annotated[
            str,
            Meta(
                pattern=r"^(NTD|CPI)[0-9]{12}$(?!\n)",
                description="The NTD or copper pair at the location",
                examples=["NTD000000000123"],
            ),
        ]
        | None
    ) = None
    portId: Annotated[int, Meta(ge=1, le=8)] | None = None
    avcIdForTransfer: (
        Annotated[
            str,
            Meta(
                pattern=r"^AVC[0-9]{12}$(?!\n)",
                description="Required if the infrastructure is in use",
                examples=["AVC000000000123"],
            ),
        ]
        | None
    ) = None
    transferType: (
        Annotated[
            Literal["SERVICE_TRANSFER", "CONNECT_OUTSTANDING"],
            Meta(description="Required if the infrastructure is in use"),
        ]
        | None
    ) = None
    potsWaiver: bool | None = None
    potsServiceOwner: Annotated[bool | None, Meta(description="If false, potsWaiver must be true")] = None
    requireVLAN: bool | None = None
    vlanId: Annotated[int, Meta(ge=1, le=4094)] | None = None
    ntdInstallation: Literal["nbn-tech", "nbn-no-action"] | None = None
    ntdOption: Annotated[Short, Meta(examples=["NTD_2.5"])] | None = None
    ntdName: Short | None = None
    ntdPhoneNumber: Phone | None = None
    ntdSameAddressDelivery: bool | None = None
    ntdBusinessName: Short | None = None
    ntdAddressLine1: Short | None = None
    ntdAddressLine2: Annotated[str, Meta(max_length=100)] | None = None
    ntdSuburb: Short | None = None
    ntdPostcode: Annotated[str, Meta(pattern=r"^[0-9]{4}$(?!\n)", examples=["2000"])] | None = None
    ntdState: State | None = None
    ntdAuthorityToLeave: bool | None = None
    ntdDeliveryInstructions: Annotated[str, Meta(max_length=500)] | None = None


class AppointmentContact(Struct, kw_only=True):
    """The person whom the technician meets."""

    name: str
    type: str
    phone: str
    notes: str | None = None


class Appointment(Struct, kw_only=True):
    """A visit (names of the documented webhook). Instants are UTC, to the second."""

    id: int
    orderId: int
    nbnAppointmentId: str
    status: str
    startTime: datetime
    endTime: datetime
    slotType: Literal["AM", "PM"] | None
    timezoneOffset: str | None
    priorityAssist: bool
    eSla: str | None
    demandType: str
    contact: AppointmentContact
    customerRef: str | None
    serviceId: int | None
    cancelledOn: datetime | None


class Appointments(Struct, kw_only=True):
    """Ours: the appointments of an order, oldest first."""

    appointments: list[Appointment]


class SlotsWanted(Struct, kw_only=True):
    """The published body of a request for slots."""

    orderId: Annotated[int, Meta(description="The id of the order that needs the visit", examples=[1])]
    dateFrom: Annotated[date, Meta(description="Offer slots on or after this date", examples=["2026-12-01"])]


class OfferWithdrawn(Struct, kw_only=True):
    """The published body of a request to cancel an appointment-request."""

    appointmentRequestId: Annotated[int, Meta(examples=[1])]


class SlotWanted(Struct, kw_only=True):
    """The published body of a booking."""

    appointmentRequestId: Annotated[int, Meta(examples=[1])]
    slotId: Annotated[str, Meta(min_length=1, max_length=64)]


class AppointmentUnwanted(Struct, kw_only=True):
    """The published body of a request to cancel an appointment."""

    appointmentId: Annotated[int, Meta(examples=[1])]


class Slot(Struct, kw_only=True):
    """A time that can be booked (names from a third party's client). `date` is in the customer's time zone."""

    id: str
    slotType: Literal["AM", "PM"]
    date: date
    startTime: datetime
    endTime: datetime
    timezoneOffset: str


class AppointmentRequest(Struct, kw_only=True):
    """The offered slots (inferred, connect decision 26). `id` is the appointmentRequestId of a booking."""

    id: int
    orderId: int
    dateFrom: date
    slots: list[Slot]


class AppointmentCancellation(Struct, kw_only=True):
    """An appointment that was cancelled on request (inferred, connect decision 26)."""

    id: int
    appointmentId: int
    orderId: int
    cancelledOn: datetime


class BandwidthProfile(Struct, kw_only=True):
    """The plan of an order. The speeds are in Mbit/s, and null if the operator has not described the plan."""

    planName: str
    speedDown: int | None
    speedUp: int | None
    cvcInclusion: str | None


class Infrastructure(Struct, kw_only=True):
    """The infrastructure that the service uses."""

    id: str | None
    portId: int | None
    productId: str | None


class MoneyAmount(Struct, kw_only=True):
    """An amount of money in the contract's form."""

    amount: Annotated[str, Meta(examples=["75.00"])]
    currency: str
    symbol: str


class Fee(Struct, kw_only=True):
    """The charges of the plan; null if the operator has not described the plan."""

    attributes: dict[str, str]
    oneTimeCharge: MoneyAmount | None
    monthlyRecurringCharge: MoneyAmount | None


class AdditionalFee(Struct, kw_only=True):
    """A charge in addition to the plan's charges."""

    addOnTypeName: str
    fee: Fee


class Order(Struct, kw_only=True):
    """An order. `isCancellable` depends on its state alone, not on the 26 hours (inferred, connect decision 3).

    Names are those of the documented webhook and, for `status`, `fee` and `additionalFees`, of a third party's client.
    Fields that only the network knows (`poi`, `region`, …) are null.
    """

    id: int
    orderType: Literal["new", "transfer"]
    status: str
    isCancellable: bool
    createdOn: datetime  # ours
    serviceId: int | None
    serviceClass: str | None
    technologyType: str | None
    trafficClass: str | None
    installationType: str | None
    customerRef: str | None
    quoteName: str | None
    locId: str
    avcId: str | None
    avcIdForTransfer: str | None
    transferType: str | None
    vlanId: int | None
    poi: str | None
    poiName: str | None
    region: str | None
    eSla: str | None
    bandwidthProfile: BandwidthProfile
    infrastructure: Infrastructure
    aggregationMethod: str | None
    isNfas: bool
    legacyTechnologyType: str | None
    fee: Fee
    additionalFees: list[AdditionalFee]
    appointments: list[Appointment]


class Orders(Struct, kw_only=True):
    """Ours: a page of the caller's orders, newest first. `next` is the address of the next page."""

    orders: list[Order]
    next: str | None


class Finding(Struct, kw_only=True):
    """Ours: what one rule of the policy found. `changesAt` is the first instant at which its finding will differ."""

    code: str
    passed: bool
    message: str
    changesAt: datetime | None


class Cancellability(Struct, kw_only=True):
    """Ours: whether an order may be cancelled, why not, and until when.

    `cancellableUntil` is the first instant at which the order can no longer be cancelled.
    """

    orderId: int
    cancellable: bool
    cancellableUntil: datetime | None
    decidedAt: datetime
    findings: list[Finding]


class Error(Struct, kw_only=True):
    """One error. `field` names the part of the request that is wrong, if there is one."""

    code: str
    field: str | None
    message: str


class Errors(Struct, kw_only=True):
    """The "standard error format".

    The documentation only describes it; the names here are ours (connect decision 17).
    """

    errors: list[Error]
