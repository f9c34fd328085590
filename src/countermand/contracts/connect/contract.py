"""The connect contract, as one declaration."""

from typing import TYPE_CHECKING, Final

from countermand.contracts.http.contract import Authentication, Contract, Deployment
from countermand.domain.client import Permission
from countermand.domain.contract import ContractName, channel_of
from countermand.domain.orders.order_kind import OrderKind

if TYPE_CHECKING:
    from countermand.actions.delivering.dialects import Dialect, ShownOrder
    from countermand.actions.ordering.views import OrderView
    from countermand.contracts.http.api_module import ApiModule

NAME: Final = ContractName("connect")
CHANNEL: Final = channel_of(NAME)


def _api(deployment: Deployment) -> "ApiModule":
    from countermand.contracts.connect.routes import Connect, api_module  # noqa: PLC0415 - the framework comes with it

    return api_module(deployment.terms_of(Connect))


def _order_in_event(view: "OrderView", deployment: Deployment) -> "ShownOrder":
    from countermand.contracts.connect.order_events import order_in_event  # noqa: PLC0415 - msgspec comes with it

    return order_in_event(view, deployment.public_url)


def _dialects() -> "tuple[Dialect, ...]":
    from countermand.contracts.connect.webhooks import DIALECT  # noqa: PLC0415 - msgspec comes with it

    return (DIALECT,)


CONTRACT: Final = Contract(
    name=NAME,
    kind=OrderKind.SERVICE,
    authentication=(Authentication.ACCESS_TOKEN,),
    default_rules=(
        {"name": "state_allows"},
        {"name": "no_appointment_within", "notice_h": 26, "past_active": "blocks"},
    ),
    default_permissions=frozenset({Permission.CREATE, Permission.READ, Permission.CANCEL}),
    more_permissions=frozenset({Permission.SUBSCRIBE}),
    api=_api,
    order_in_event=_order_in_event,
    dialects=_dialects,
)
