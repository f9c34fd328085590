"""What differs between the versions of the connect contract? `X-API-VERSION` is one of the strings 1 to 8.

Missing, unknown or otherwise written: 400 (inferred, decisions 7 to 9). Versions 1 and 2 are deprecated and work.
"""

from collections.abc import Mapping
from typing import Final

from countermand.contracts.answer import MalformedRequestError

HEADER: Final = "X-API-VERSION"
_VERSIONS: Final = {str(number).encode(): number for number in range(1, 9)}

# From this version on, the field is required in `orders/create` (documented).
AGGREGATION_METHOD_REQUIRED_FROM: Final = 4


def version_of(headers: Mapping[bytes, bytes]) -> int:
    """The version asked for. Raises `MalformedRequestError`. Never by `int()`, which reads 07 and +7, too."""
    given = headers.get(b"x-api-version")
    if given is None:
        raise MalformedRequestError(f"the header {HEADER} is missing; supported versions: 1 to 8")
    version = _VERSIONS.get(given)
    if version is None:
        said = given[:20].decode("latin-1")
        raise MalformedRequestError(f"the header {HEADER} must be one of 1 to 8, not {said!r}")
    return version
