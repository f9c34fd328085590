"""Lists the contracts that this service offers. A further contract is a folder of its own and an entry in this list."""

from collections.abc import Sequence
from typing import Final

from countermand.contracts.connect.contract import CONTRACT as CONNECT
from countermand.contracts.http.contract import Access, Contract
from countermand.contracts.manage.access import ACCESS as MANAGE_ACCESS
from countermand.contracts.shopping.contract import CONTRACT as SHOPPING
from countermand.domain.orders.order_kind import OrderKinds

CONTRACTS: Final[tuple[Contract, ...]] = (CONNECT, SHOPPING)


def kinds_of(contracts: Sequence[Contract]) -> OrderKinds:
    """Return the order kind of each contract. Raises `ValueError` if two contracts have the same name."""
    kinds = {contract.name: contract.kind for contract in contracts}
    if len(kinds) < len(contracts):
        raise ValueError(f"two contracts have one name: {', '.join(contract.name for contract in contracts)}")
    return kinds


def accesses_of(contracts: Sequence[Contract]) -> tuple[Access, ...]:
    """Return the access of every channel: the contracts' channels, and last the management API's."""
    return (*(contract.access for contract in contracts), MANAGE_ACCESS)
