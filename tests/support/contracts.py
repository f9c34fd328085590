"""The two contracts of the service, by name, for tests outside the domain."""

from countermand.contracts.connect.contract import CONTRACT as CONNECT
from countermand.contracts.shopping.contract import CONTRACT as SHOPPING

__all__ = ["CONNECT", "SHOPPING"]
