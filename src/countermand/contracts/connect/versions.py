"""What differs between the versions of the connect contract? One table, by which bodies are read and described.

`X-API-VERSION` is one of the strings 1 to 8. Missing, unknown or otherwise written: 400 (inferred, connect
decisions 7 to 9).
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
    """One version. `needs` are the fields, by operation, that are required from it on (documented)."""

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
    """The fields that an operation needs from some version on, and from which."""
    return {name: version.number for version in VERSIONS for name in version.needs.get(operation, ())}


_NUMBERS: Final = {str(version.number).encode(): version.number for version in VERSIONS}


class Versions:
    """Reads the version a caller asks for, counts it, and, where the operator wants it, says that it will go.

    `deprecated_since` and `sunset` switch the headers `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) on: ours.
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
        """The version asked for. Raises `MalformedRequestError`. Never by `int()`, which reads 07 and +7, too."""
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
        """What an answer says about the version it was asked in: nothing, unless that is deprecated and will go."""
        return self._notices.get(headers.get(b"x-api-version", b""), ())

    def taken(self) -> Mapping[int, int]:
        """How often each version was asked for since the last time somebody looked."""
        used, self._used = self._used, dict.fromkeys(self._used, 0)
        return used
