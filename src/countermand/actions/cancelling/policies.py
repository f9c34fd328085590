"""The policies in force."""

from collections.abc import Mapping
from dataclasses import dataclass

from countermand.actions.ordering.visibility import check_known
from countermand.domain.cancelling.policy import Policy
from countermand.domain.contract import ContractName
from countermand.domain.orders.order import Order


@dataclass(frozen=True, kw_only=True)
class Policies:
    """The policies in force, one for each contract."""

    by_contract: Mapping[ContractName, Policy]

    def of(self, order: Order) -> Policy:
        """Return the policy of the order's own contract, whichever channel was used. Raises as `check_known` does."""
        check_known(order)
        return self.by_contract[order.contract]
