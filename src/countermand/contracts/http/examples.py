"""Reads the examples of an OpenAPI document: messages that were sent to a service and answered by it.

`make examples` records them; they stand in a file of JSON beside the contract's calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

REQUEST: Final = "request"
_EVERY_CALL: Final = "*"  # errors that are the same for all calls
_ADDRESS: Final = b"{public_url}"

# The examples of a call: by its request or a status, and then by name. An error's name is its code.
CallExamples: TypeAlias = Mapping[str, Mapping[str, msgspec.Raw]]


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of a document. Without a file, there are none."""

    file: Path | None = None

    def by_operation(self, public_url: str) -> Mapping[str, CallExamples]:
        """Return the examples of each operation, with the service's own address in them."""
        if self.file is None:
            return {}
        recorded = self.file.read_bytes().replace(_ADDRESS, public_url.encode())
        return msgspec.json.decode(recorded, type=dict[str, dict[str, dict[str, msgspec.Raw]]])


def named_in(
    examples: Mapping[str, CallExamples], operation: str, part: str, *, takes_key: bool
) -> Mapping[str, msgspec.Raw]:
    """Return the examples of an operation for its request or a status, and the errors that all operations share.

    A call without an `Idempotency-Key` has no error about one.
    """
    own = examples.get(operation, {}).get(part, {})
    shared = examples.get(_EVERY_CALL, {}).get(part, {})
    return {
        **own,
        **{code: shared[code] for code in sorted(shared.keys() - own.keys()) if takes_key or "key" not in code.lower()},
    }
