"""What do appointments, clients' tasks about them, and the calendar look like in the operator's API? All are ours."""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from countermand.actions.appointments.load_calendar import AREA_PATTERN, CAPACITY_CAP, SLOT_ID_PATTERN

_SlotId = Annotated[str, Meta(pattern=f"^{SLOT_ID_PATTERN}$(?!\\n)", examples=["2026-12-01-AM"])]
_Local = Annotated[
    datetime,
    Meta(tz=True, description="With the UTC offset of the customer's location", examples=["2026-12-01T08:00:00+11:00"]),
]


class AppointmentGiven(Struct, kw_only=True):
    """The start and the end of the visit."""

    starts_at: Annotated[
        datetime, Meta(description="When the visit begins, with a UTC offset, between the years 2000 and 2200", tz=True)
    ]
    ends_at: Annotated[
        datetime, Meta(description="When the visit ends, with a UTC offset, later than starts_at", tz=True)
    ]


class Appointment(Struct, kw_only=True):
    """A visit. A visit that was booked has the `slot_id` of its slot."""

    id: Annotated[int, Meta(description="The appointment's id")]
    state: Annotated[
        str,
        Meta(
            description="reserved, booked, in_progress, completed, incomplete or cancelled; the first three are active"
        ),
    ]
    starts_at: Annotated[datetime, Meta(description="When the visit begins, in UTC")]
    ends_at: Annotated[datetime, Meta(description="When the visit ends, in UTC")]
    cancelled_at: Annotated[
        datetime | None, Meta(description="When the appointment was cancelled, in UTC; null if it was not")
    ]
    slot_id: Annotated[
        str | None, Meta(description="The id of the slot; null if the operator agreed the visit without a slot")
    ]
    remote_id: Annotated[
        str | None, Meta(description="The visit's id in the operator's booking system; null if that gave none")
    ]


class AppointmentStateGiven(Struct, kw_only=True):
    """The new state of the visit. A visit that is completed or incomplete is no longer active."""

    state: Annotated[
        Literal["in_progress", "completed", "incomplete"], Meta(description="The state that the visit has now")
    ]


class OfferedSlot(Struct, kw_only=True):
    """A slot that the operator's system offers. Without a `slot_type` it is AM if it begins before noon local time."""

    id: Annotated[_SlotId, Meta(description="The slot's id in your system, which a booking names")]
    starts_at: Annotated[
        _Local, Meta(description="When the visit begins, with the UTC offset of the customer's location")
    ]
    ends_at: Annotated[_Local, Meta(description="When the visit ends, with the UTC offset of the customer's location")]
    slot_type: Annotated[
        Literal["AM", "PM"] | None,
        Meta(description="AM or PM; if it is left out, AM for a slot that begins before noon local time"),
    ] = None


class CalendarSlot(Struct, kw_only=True):
    """A slot of the calendar, for locations whose id begins with `area`; an empty `area` is for all locations."""

    id: Annotated[_SlotId, Meta(description="The slot's id. A slot with a known id is changed")]
    starts_at: Annotated[
        _Local, Meta(description="When the visit begins, with the UTC offset of the customer's location")
    ]
    ends_at: Annotated[_Local, Meta(description="When the visit ends, with the UTC offset of the customer's location")]
    capacity: Annotated[int, Meta(description="The number of visits that fit into the slot", ge=0, le=CAPACITY_CAP)]
    slot_type: Annotated[
        Literal["AM", "PM"] | None,
        Meta(description="AM or PM; if it is left out, AM for a slot that begins before noon local time"),
    ] = None
    area: Annotated[
        str,
        Meta(
            description="The beginning of the location ids that the slot is for; empty for all locations",
            pattern=f"^{AREA_PATTERN}$(?!\\n)",
            examples=["LOC3801"],
        ),
    ] = ""


class CalendarGiven(Struct, kw_only=True):
    """Slots to load."""

    slots: Annotated[list[CalendarSlot], Meta(description="The slots to add or change", min_length=1, max_length=300)]


class SlotShown(Struct, kw_only=True):
    """A slot of the calendar; `booked` is the number of visits in it."""

    id: Annotated[str, Meta(description="The slot's id")]
    area: Annotated[
        str, Meta(description="The beginning of the location ids that the slot is for; empty for all locations")
    ]
    starts_at: Annotated[datetime, Meta(description="When the visit begins, in UTC")]
    ends_at: Annotated[datetime, Meta(description="When the visit ends, in UTC")]
    slot_type: Annotated[str, Meta(description="AM or PM")]
    utc_offset_minutes: Annotated[
        int, Meta(description="The offset of the customer's location from UTC at that time, in minutes")
    ]
    capacity: Annotated[int, Meta(description="The number of visits that fit into the slot")]
    booked: Annotated[int, Meta(description="The number of visits that are booked in the slot")]


class Calendar(Struct, kw_only=True):
    """A page of the calendar; `next` is the `after` of the next page, or null on the last page."""

    slots: Annotated[list[SlotShown], Meta(description="The slots of this page, sorted by their beginning")]
    next: Annotated[
        str | None, Meta(description="The value of the parameter after for the next page; null on the last page")
    ]


class Loaded(Struct, kw_only=True):
    """The numbers of slots that were added, changed, or the same already."""

    added: Annotated[int, Meta(description="The number of new slots")]
    changed: Annotated[int, Meta(description="The number of slots that were there and are different now")]
    as_they_were: Annotated[int, Meta(description="The number of slots that were there and are the same")]


class Yes(Struct, kw_only=True):
    """The task is done. `remote_id` is the visit's id in your system, if it has one."""

    remote_id: Annotated[str, Meta(description="The visit's id in your system", min_length=1, max_length=64)] | None = (
        None
    )


class No(Struct, kw_only=True):
    """The task cannot be done. `code` is stable, and `message` is a sentence for people. The client sees both."""

    code: Annotated[
        str,
        Meta(
            description="Why it cannot be done, for programs: a word of your own that never changes",
            pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)",
            examples=["no_technician"],
        ),
    ]
    message: Annotated[
        str, Meta(description="Why it cannot be done, as a sentence for people", min_length=1, max_length=500)
    ]


class TaskAnswer(Struct, kw_only=True):
    """Exactly one of: `slots` for a request of slots, `accepted` for a booking or a cancellation, or `refused`."""

    slots: (
        Annotated[
            list[OfferedSlot],
            Meta(
                description=(
                    "For a task of the kind offer_slots: the slots that the client may book; empty if there are none"
                ),
                max_length=300,
            ),
        ]
        | None
    ) = None
    accepted: Annotated[Yes | None, Meta(description="For a task of the kind book or cancel: the task is done")] = None
    refused: Annotated[No | None, Meta(description="For every kind: the task cannot be done")] = None


class AppointmentTask(Struct, kw_only=True):
    """A client's request about an appointment. Its kind decides which fields it has."""

    id: Annotated[int, Meta(description="The task's id")]
    order_id: Annotated[str, Meta(description="The order's id, such as connect-54 or shopping- and a uid")]
    client_id: Annotated[int, Meta(description="The id of the client that asked")]
    kind: Annotated[str, Meta(description="offer_slots, book or cancel")]
    state: Annotated[str, Meta(description="pending, done, failed or withdrawn")]
    asked_at: Annotated[datetime, Meta(description="When the client asked, in UTC")]
    from_date: Annotated[
        date | None,
        Meta(
            description=(
                "For offer_slots: offer slots on or after this date, in the customer's time zone; otherwise null"
            )
        ),
    ]
    slot_id: Annotated[str | None, Meta(description="For book: the id of the slot to book; otherwise null")]
    starts_at: Annotated[datetime | None, Meta(description="For book: when the visit begins, in UTC; otherwise null")]
    ends_at: Annotated[datetime | None, Meta(description="For book: when the visit ends, in UTC; otherwise null")]
    appointment_id: Annotated[
        int | None,
        Meta(description="For cancel, and for book once it is done: the id of the appointment; otherwise null"),
    ]
    failure: Annotated[No | None, Meta(description="Why the task failed; null if it did not")]


class AppointmentTasks(Struct, kw_only=True):
    """The tasks that wait for an answer, sorted by id."""

    tasks: Annotated[list[AppointmentTask], Meta(description="Up to 100 tasks that wait for an answer, sorted by id")]
    next: Annotated[str | None, Meta(description="The parameter `after` of the next page; null at the end")]
