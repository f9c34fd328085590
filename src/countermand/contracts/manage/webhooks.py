"""The webhooks of the operator's API: one for each kind of event, whose details have a struct."""

import inspect
from typing import Final

from countermand.contracts.http.webhooks import Webhook
from countermand.contracts.manage.event_messages import DETAILS
from countermand.domain.delivering.endpoint import EndpointEventKind

WEBHOOKS: Final = tuple(
    Webhook(
        kind=kind.value,
        summary=(inspect.getdoc(details) or "").partition("\n")[0].rstrip("."),
        details=details,
        has_order=not isinstance(kind, EndpointEventKind),
    )
    for kind, details in DETAILS.items()
)
