"""The name of a contract, and of the channel that a request comes over.

No list of contracts stands here: `contracts/registry.py` has the contracts of a node.
"""

from typing import Final, NewType

# The name of a published contract. An order keeps the name of the contract that it was placed over.
ContractName = NewType("ContractName", str)
# The way that a request came: over a contract (the channel has the contract's name), or over the management API.
Channel = NewType("Channel", str)

CONTRACT_NAME_PATTERN: Final = "[a-z][a-z0-9_]{0,15}"  # fits its column, and needs no quoting in a statement
MANAGE: Final = Channel("manage")
PARTNER: Final = Channel("partner")  # what partners of every contract call with the credential of their contract


def channel_of(contract: ContractName) -> Channel:
    """Return the channel of a contract's own calls."""
    return Channel(contract)
