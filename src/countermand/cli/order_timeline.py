"""Writes an order's timeline for people: a line for each entry and, below an ask, what each rule found."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from countermand.cli.printing import said
from countermand.domain.money import written_minor

if TYPE_CHECKING:
    from countermand.contracts.manage import messages


def timeline_lines(order: "messages.Order") -> Iterator[str]:
    """Yield the lines of an order's timeline, oldest entry first."""
    yield "timeline:" if order.timeline_is_complete else "timeline, without the changes whose events were deleted:"
    for entry in order.timeline:
        # The caller's own words come last, where they cannot be taken for anything else.
        reason = "" if entry.reason is None else f"; reason: {entry.reason}"
        yield f"{said(entry.at)}  {entry.kind:11}  {_what(entry)}; {_who(entry.who)}{reason}"
        for finding in entry.findings or ():
            yield f"    {'passed' if finding.passed else 'refused'}: {finding.message}"


def _what(entry: "messages.TimelineEntry") -> str:
    if entry.decision is None:
        return f"{entry.event}{_details(entry.details or {})}"
    if entry.codes is None:
        return f"{entry.decision}, by a policy that is not known"
    by = f" by {', '.join(entry.codes)}" if entry.codes else ""
    by += f", overriding {', '.join(entry.overridden)}" if entry.overridden else ""
    by += f", approved by {entry.approved_by}" if entry.approved_by else ""
    return entry.decision + by


def _details(details: Mapping[str, object]) -> str:
    written = ", ".join(f"{name} {_value(value)}" for name, value in _of_money(details).items() if value is not None)
    return f" ({written})" if written else ""


def _of_money(details: Mapping[str, object]) -> Mapping[str, object]:
    """Return details with an amount as people write it, instead of its hundredths and its currency."""
    minor, currency = details.get("amount_minor"), details.get("currency")
    if not isinstance(minor, int) or currency is None:
        return details
    others = {name: value for name, value in details.items() if name not in {"amount_minor", "currency"}}
    return {"amount": f"{written_minor(minor)} {currency}"} | others


def _value(value: object) -> str:
    """Return a value of an event for people: of a list, the values of each object in it."""
    if not isinstance(value, list):
        return str(value)
    return " and ".join(
        " ".join(map(str, _of_money(one).values())) if isinstance(one, dict) else str(one) for one in value
    )


def _who(who: "messages.Actor | None") -> str:
    if who is None:
        return "by the service itself, or not known by whom"
    person = "" if who.staff_id is None else f"{who.staff_id}, "
    acting_as = "" if who.acting_as is None else f" for {who.acting_as}"
    name = "" if who.client_name is None else f" ({who.client_name})"
    channel = "" if who.channel is None else f", over {who.channel}"
    address = "" if who.address is None else f", from {who.address}"
    client = "the command line" if who.client_id == 0 else f"client {who.client_id}{name}"
    return f"by {person}{client}{acting_as}{channel}{address}"
