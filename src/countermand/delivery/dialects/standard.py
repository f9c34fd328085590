"""The dialect `standard`: bodies as Standard Webhooks 1.0.0 recommends them, with `type`, `timestamp` and `data`."""

from typing import Final

from msgspec import Struct

from countermand.actions.delivering.dialects import Dialect, EventToSend, RenderedEvent
from countermand.delivery.dialects.event_data import JSON, KINDS, encoded, event_data, says
from countermand.domain.delivering.endpoint import STANDARD, Subscription
from countermand.domain.instants import written_instant

LARGEST_BODY: Final = 20_000  # bytes; the standard says under 20 kB


class _Body(Struct, kw_only=True):
    type: str
    timestamp: str
    data: dict[str, object]


def _render(event: EventToSend, subscription: Subscription) -> RenderedEvent:
    def body(thin: bool) -> _Body:  # noqa: FBT001 - `encoded` calls it
        at = written_instant(event.recorded_at)
        return _Body(type=event.kind, timestamp=at, data=event_data(event, thin=thin))

    written = encoded(body, thin=subscription.thin, at_most=LARGEST_BODY)
    return RenderedEvent(body=written, content_type=JSON)


STANDARD_WEBHOOKS: Final = Dialect(
    name=STANDARD,
    about="Standard Webhooks: type, timestamp and data, with the order as its contract shows it",
    kinds=KINDS,
    says=says,
    render=_render,
)
