"""What differs between the versions of the connect contract? One table serves for reading and describing bodies.

`X-API-VERSION` is one of the strings 1 to 8. A missing, unknown or differently written version is answered 400
(inferred, connect decisions 7 to 9).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from countermand.contracts.http.answer import MalformedRequestError

HEADER: Final = "X-API-VERSION"


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One version. `needs` has, by operation, the fields that are required from this version on (documented)."""

    number: int
    is_deprecated: bool = False
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


VERSIONS: Final = (
    Version(number=1, is_deprecated=True),
    Version(number=2, is_deprecated=True),
    Version(number=3),
    Version(number=4, needs={"createOrder": ("aggregationMethod",)}),
    Version(number=5),
    Version(number=6),
    Version(number=7),
    # Documented for cancelling an appointment and an appointment-request; for all other calls inferred
    # (connect decision 9).
    Version(number=8),
)
SUPPORTED: Final = f"{VERSIONS[0].number} to {VERSIONS[-1].number}"


def required_from(operation: str) -> Mapping[str, int]:
    """Return the fields that an operation requires from some version on, with that version."""
    return {name: version.number for version in VERSIONS for name in version.needs.get(operation, ())}


_NUMBERS: Final = {str(version.number).encode(): version.number for version in VERSIONS}


class Versions:
    """Reads and counts the version that a caller uses and, if the operator wants, announces its end.

    `deprecated_since` and `sunset` switch on the headers `Deprecation` (RFC 9745) and `Sunset` (RFC 8594): ours.
    """

    def __init__(self, *, deprecated_since: datetime | None = None, sunset: datetime | None = None) -> None:
        self._used = dict.fromkeys(_NUMBERS.values(), 0)
        notices: tuple[tuple[bytes, bytes], ...] = ()
        if deprecated_since is not None:
            notices = (*notices, (b"deprecation", b"@%d" % deprecated_since.timestamp()))
        if sunset is not None:
            notices = (*notices, (b"sunset", format_datetime(sunset.astimezone(UTC), usegmt=True).encode()))
        self._notices = {str(one.number).encode(): notices for one in VERSIONS if one.is_deprecated and notices}

    def of(self, headers: Mapping[bytes, bytes]) -> int:
        """Return the requested version. Raises `MalformedRequestError`. `int()` would also accept 07 and +7."""
        given = headers.get(b"x-api-version")
        if given is None:
            raise MalformedRequestError(f"the header {HEADER} is missing; supported versions: {SUPPORTED}")
        version = _NUMBERS.get(given)
        if version is None:
            said = given[:20].decode("latin-1")
            raise MalformedRequestError(f"the header {HEADER} must be one of {SUPPORTED}, not {said!r}")
        self._used[version] += 1
        return version

    def notices(self, headers: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers about the caller's version: none, unless it is deprecated and headers are switched on."""
        return self._notices.get(headers.get(b"x-api-version", b""), ())

    def taken(self) -> Mapping[int, int]:
        """Return how often each version was used since the last call of this method."""
        used, self._used = self._used, dict.fromkeys(self._used, 0)
        return used
