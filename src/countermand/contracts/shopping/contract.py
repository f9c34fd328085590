"""The shopping contract, as one declaration."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from countermand.contracts.http.contract import Authentication, Contract, Deployment, Page
from countermand.domain.client import Permission
from countermand.domain.contract import ContractName, channel_of
from countermand.domain.orders.order_kind import OrderKind

if TYPE_CHECKING:
    from countermand.actions.delivering.dialects import ShownOrder
    from countermand.actions.ordering.views import OrderView
    from countermand.contracts.http.api_module import ApiModule

NAME: Final = ContractName("shopping")
CHANNEL: Final = channel_of(NAME)


def _api(deployment: Deployment) -> "ApiModule":
    from countermand.contracts.shopping.routes import Shopping, api_module  # noqa: PLC0415 - the framework comes with it

    return api_module(deployment.terms_of(Shopping))


def _order_in_event(view: "OrderView", deployment: Deployment) -> "ShownOrder":
    from countermand.contracts.shopping.orders.order_events import order_in_event  # noqa: PLC0415 - msgspec comes with it
    from countermand.contracts.shopping.routes import Shopping  # noqa: PLC0415 - the framework comes with it

    return order_in_event(view, deployment.terms_of(Shopping).addresses)


def _payment_window(deployment: Deployment) -> timedelta:
    from countermand.contracts.shopping.routes import Shopping  # noqa: PLC0415 - the framework comes with it

    return deployment.terms_of(Shopping).payment_limit


CONTRACT: Final = Contract(
    name=NAME,
    kind=OrderKind.TICKET,
    authentication=(Authentication.KEY_AND_SECRET, Authentication.BROWSER_TOKEN),
    default_rules=(
        {"name": "not_already_cancelled"},
        {"name": "state_allows"},
        {"name": "nothing_paid", "refunded": "blocks"},
    ),
    # An operator grants the permission to cancel tickets; no client has it by default.
    default_permissions=frozenset({Permission.CREATE, Permission.READ}),
    more_permissions=frozenset({Permission.CANCEL, Permission.READ_ALL, Permission.SUBSCRIBE}),
    api=_api,
    order_in_event=_order_in_event,
    pages=frozenset({Page.PAYMENT, Page.ETICKETS}),
    payment_window=_payment_window,
)
