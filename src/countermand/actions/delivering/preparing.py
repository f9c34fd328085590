"""Makes what is sent of an event: its body in the endpoint's dialect, and what names it at the receiver."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from countermand.actions.delivering.claimed import Claim, ClaimedEvent
from countermand.actions.delivering.dialects import Dialects, EventToSend, RenderedEvent, ShownOrder
from countermand.actions.delivering.ports import Delivery, StoredEvent
from countermand.actions.delivering.sending import Sending
from countermand.actions.ordering.views import OrderView
from countermand.domain.delivering.endpoint import Endpoint
from countermand.domain.orders.event_ids import event_id, id_text
from countermand.domain.orders.order_events import without_people

ShowOrder = Callable[[OrderView], ShownOrder | None]
# Returns the details of a kind of event as they are shown, for the details as they are stored.
ShowDetails = Callable[[str, Mapping[str, object]], Mapping[str, object]]


class Preparing:
    """Prepares events. `source` is the address of this service, which CloudEvents name.

    `show_order` returns an order as its contract shows it in events; it raises `UnavailableError` for an order that
    this version cannot read.
    """

    def __init__(
        self,
        dialects: Dialects,
        show_order: ShowOrder,
        *,
        source: str,
        show_details: ShowDetails = lambda _, stored: stored,
    ) -> None:
        self._dialects = dialects
        self._show_order = show_order
        self._source = source
        self._show_details = show_details

    def knows(self, endpoint: Endpoint, kind: str) -> bool:
        """Return whether this node can render the event. Otherwise a node of a newer version sends it."""
        dialect = self._dialects.by_name.get(endpoint.subscription.dialect)
        return dialect is not None and kind in dialect.kinds

    def attempt(
        self,
        endpoint: Endpoint,
        queue: Sequence[Delivery],
        head: Delivery,
        event: StoredEvent,
        view: OrderView | None,
        claim: Claim,
    ) -> ClaimedEvent:
        """Return the next attempt at an event. `queue` has all deliveries of the order to the endpoint, in order.

        `view` is the order, which the first attempt shows as it is now. Raises `UnavailableError` for an order that
        this version cannot read.
        """
        place = queue.index(head)
        previous = queue[place - 1] if place else None
        following = next((one for one in queue[place + 1 :] if one.is_pending), None)
        subject = subject_of(endpoint, event)
        if head.body is None:
            rendered = self.render(endpoint, event, head.digest, view)
            head = replace(
                head, body=rendered.body, content_type=rendered.content_type, headers=tuple(rendered.headers)
            )
        head = replace(head, attempts=head.attempts + 1, first_attempt_at=head.first_attempt_at or claim.at)
        assert head.body is not None
        sending = Sending(
            endpoint=endpoint,
            event_id=_id_of(subject, head),
            order_version=head.key.order_version,
            attempt=head.attempts,
            previous=None if previous is None else _id_of(subject, previous),
            body=head.body,
            content_type=head.content_type,
            headers=head.headers,
            now=claim.at,
        )
        return ClaimedEvent(
            sending=sending,
            delivery=head,
            lease=claim.lease,
            claimed_at=claim.at,
            following_at=None if following is None else following.recorded_at,
        )

    def render(self, endpoint: Endpoint, event: StoredEvent, digest: str, view: OrderView | None) -> RenderedEvent:
        """Return an event as the endpoint gets it, with the order as it is now."""
        dialect = self._dialects.by_name[endpoint.subscription.dialect]
        key, subject = event.key, subject_of(endpoint, event)
        details = self._show_details(key.kind, event.details)
        to_send = EventToSend(
            id=event_id(subject, key.order_version, key.kind, digest),
            kind=key.kind,
            version=key.order_version,
            recorded_at=event.recorded_at,
            details=details if endpoint.owner is None else without_people(details),
            order=subject if event.contract is not None else None,
            contract=event.contract,
            shown=None if view is None else self._show_order(view),
            source=self._source,
        )
        return dialect.render(to_send, endpoint.subscription)


def subject_of(endpoint: Endpoint, event: StoredEvent) -> str:
    """Return what an event is about, for its id: the order's id, or the id of the endpoint."""
    if event.contract is not None:
        return id_text(event.contract, event.uid, event.key.order_id)
    told = event.details.get("endpoint")
    return told if isinstance(told, str) else endpoint.id


def _id_of(subject: str, delivery: Delivery) -> str:
    return event_id(subject, delivery.key.order_version, delivery.key.kind, delivery.digest)
