"""All calls of the partners' API, as one API module."""

from pathlib import Path

from countermand.actions.delivering.endpoints import EndpointAdministration
from countermand.actions.ordering.event_feed import EventFeed
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.examples import Examples
from countermand.contracts.manage.webhooks import WEBHOOKS
from countermand.contracts.partner.calls import ERROR_CODES, ROOT, RULES
from countermand.contracts.partner.endpoints import OwnEndpoints
from countermand.contracts.partner.events import OwnEvents


def api_module(feed: EventFeed | None, endpoints: EndpointAdministration | None) -> ApiModule:
    """Return the partners' calls. Without `feed` and `endpoints`, they are only described."""
    return ApiModule(
        name="partner",
        title="Countermand: events for partners",
        about=(
            "Ours: for clients of the contracts, who hear of their own orders. A client calls with the credential of "
            "its contract, and needs the permission `subscribe`, which the operator grants."
        ),
        prefix=ROOT,
        calls=(*OwnEndpoints(endpoints).calls(), *OwnEvents(feed).calls()),
        webhooks=tuple(one for one in WEBHOOKS if one.has_order),  # a partner hears of its own orders alone
        rules=RULES,
        cancel=None,
        security={
            "accessToken": {"type": "http", "scheme": "bearer"},
            "keyAndSecret": {"type": "http", "scheme": "basic"},
        },
        error_codes=ERROR_CODES,
        examples=Examples(Path(__file__).with_name("examples.json")),
    )
