"""The dialect `cloudevents`: CloudEvents 1.0.2 over HTTP, in binary mode, or in structured mode if that is asked for.

`source` is the address of this service and `id` the id of the event, which no other event of this service has. The
`subject` is the order's id in the operator's API, or the id of the endpoint. There is no `dataschema`: the fields of
the data depend on the contract of the order.
"""

from typing import Final

from countermand.actions.delivering.dialects import Dialect, EventToSend, RenderedEvent
from countermand.delivery.dialects.event_data import JSON, KINDS, encoded, event_data, says
from countermand.domain.delivering.endpoint import Subscription
from countermand.domain.instants import written_instant

NAME: Final = "cloudevents"
STRUCTURED: Final = "application/cloudevents+json"
TYPE_PREFIX: Final = "countermand."
LARGEST_BODY: Final = 60_000  # bytes; whoever passes events on must take 64 KiB, headers included

_SPEC_VERSION: Final = "1.0"
_UNCHANGED: Final = frozenset(range(0x21, 0x7F)) - frozenset(b'"%')


def _render(event: EventToSend, subscription: Subscription) -> RenderedEvent:
    subject = event.order or event.details.get("endpoint")
    context: dict[str, str] = {
        "specversion": _SPEC_VERSION,
        "id": event.id,
        "source": event.source,
        "type": TYPE_PREFIX + event.kind,
        "time": written_instant(event.recorded_at),
        **({"subject": str(subject)} if subject else {}),
    }

    def data(thin: bool) -> dict[str, object]:  # noqa: FBT001 - `encoded` calls it
        return event_data(event, thin=thin)

    def whole(thin: bool) -> dict[str, object]:  # noqa: FBT001 - `encoded` calls it
        return {**context, "datacontenttype": JSON, "data": data(thin)}

    structured = subscription.structured
    body = encoded(whole if structured else data, thin=subscription.thin, at_most=LARGEST_BODY)
    if structured:
        return RenderedEvent(body=body, content_type=STRUCTURED)
    headers = tuple((f"ce-{name}", header_value(value)) for name, value in context.items())
    return RenderedEvent(body=body, content_type=JSON, headers=headers)


def header_value(text: str) -> str:
    """Return an attribute as a header: blanks, `"`, `%` and what is not printable ASCII is percent-encoded as UTF-8."""
    return "".join(chr(one) if one in _UNCHANGED else f"%{one:02X}" for one in text.encode())


CLOUDEVENTS: Final = Dialect(
    name=NAME,
    about="CloudEvents 1.0, in binary or structured mode; the data is that of the dialect standard",
    kinds=KINDS,
    says=says,
    render=_render,
    has_structured=True,
)
