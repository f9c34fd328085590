"""What do the bodies of the connect contract look like? One Struct each: it decodes, checks, and describes itself.

Field names are the contract's. Documented unless marked "inferred" or "ours".
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct


class CancelRequest(Struct, kw_only=True):
    """The published body of a cancellation (table 4)."""

    orderId: Annotated[int, Meta(description="The id of the order to cancel", examples=[1])]


class CreateRequest(Struct, kw_only=True):
    """An order for a service. The fields that a cancellation and its answer need, and what the order shows again."""

    sourceType: Literal["nbn"]
    contactName: Annotated[str, Meta(min_length=1, max_length=40)]
    contactPhone: Annotated[
        str,
        Meta(
            pattern=r"^(\+?61|0)[ -]?[23478]([ -]?[0-9]){8}$(?!\n)",
            description="A valid Australian landline or mobile number",
            examples=["0412 345 678"],
        ),
    ]
    contactEmail: Annotated[
        str, Meta(max_length=50, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s.]+$(?!\n)", examples=["jo@example.com"])
    ]
    locationId: Annotated[str, Meta(pattern=r"^LOC[0-9]{12}$(?!\n)", examples=["LOC380100009114"])]
    planName: Annotated[str, Meta(min_length=1, max_length=100, examples=["Home Fast 100/20"])]
    aggregationMethod: Annotated[Literal["L2TP", "ETHERNET"] | None, Meta(description="Required from version 4 on")] = (
        None
    )
    customerReference: Annotated[str, Meta(max_length=200)] | None = None
    quoteName: Annotated[str, Meta(max_length=50)] | None = None
    term: Annotated[int, Meta(ge=0, le=120, description="Months")] | None = None
    trafficClass: Annotated[str, Meta(max_length=20)] | None = None
    productType: Annotated[str, Meta(max_length=50)] | None = None
    restorationSla: Annotated[str, Meta(max_length=50)] | None = None


class Appointment(Struct, kw_only=True):
    """A visit, as an order shows it (names from a third party's client)."""

    id: int
    status: str
    startTime: datetime
    endTime: datetime


class BandwidthProfile(Struct, kw_only=True):
    """The plan's part of an order."""

    planName: str


class Order(Struct, kw_only=True):
    """An order. `isCancellable` speaks of its state alone, not of the 26 hours (inferred, decision 3)."""

    id: int
    orderType: Literal["new", "transfer"]
    status: str
    isCancellable: bool
    createdOn: datetime  # ours
    customerRef: str | None
    quoteName: str | None
    locId: str
    bandwidthProfile: BandwidthProfile
    aggregationMethod: str | None
    trafficClass: str | None
    eSla: str | None
    appointments: list[Appointment]


class Finding(Struct, kw_only=True):
    """Ours: what one rule of the policy found. `changesAt` is the first instant at which it would find otherwise."""

    code: str
    passed: bool
    message: str
    changesAt: datetime | None


class Cancellability(Struct, kw_only=True):
    """Ours: may this order be cancelled, why not, until when? `cancellableUntil` is the first instant of no."""

    orderId: int
    cancellable: bool
    cancellableUntil: datetime | None
    decidedAt: datetime
    findings: list[Finding]


class Error(Struct, kw_only=True):
    """One thing that is wrong. `field` names the part of the request, where it is one."""

    code: str
    field: str | None
    message: str


class Errors(Struct, kw_only=True):
    """The "standard error format". The pages say only what it tells; its names here are ours (decision 17)."""

    errors: list[Error]
