"""The fairground's contract, as one declaration."""

from typing import TYPE_CHECKING, Final

from countermand.contracts.http.contract import Authentication, Contract, Deployment
from countermand.domain.client import Permission
from countermand.domain.contract import ContractName, channel_of
from countermand.domain.orders.order_kind import OrderKind

if TYPE_CHECKING:
    from countermand.actions.delivering.dialects import ShownOrder
    from countermand.actions.ordering.views import OrderView
    from countermand.contracts.http.api_module import ApiModule

NAME: Final = ContractName("fairground")
CHANNEL: Final = channel_of(NAME)


def _api(_: Deployment) -> "ApiModule":
    from support.fairground.calls import api_module  # noqa: PLC0415 - the framework comes with it

    return api_module()


def _order_in_event(view: "OrderView", deployment: Deployment) -> "ShownOrder":
    from countermand.actions.delivering.dialects import ShownOrder  # noqa: PLC0415 - as in every declaration

    uid = view.order.uid or ""
    return ShownOrder(
        version=view.order.version,
        whole={"ride": uid, "state": view.order.state.value},
        link={"ride": f"{deployment.public_url}/fairground/v1/rides/{uid}"},
    )


CONTRACT: Final = Contract(
    name=NAME,
    kind=OrderKind.TICKET,
    authentication=(Authentication.KEY_AND_SECRET,),
    default_rules=({"name": "state_allows"}, {"name": "nothing_paid"}),
    default_permissions=frozenset({Permission.CREATE, Permission.READ, Permission.CANCEL}),
    api=_api,
    order_in_event=_order_in_event,
)
