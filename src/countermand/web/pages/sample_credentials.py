"""The credentials that a demo shows on its pages, filled in. No other service has any."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleCredential:
    """A credential of an API. `scheme` is the name of the security scheme in the API's document.

    Either `token` is a bearer token, or `user` and `password` are for Basic.
    """

    api: str
    scheme: str
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


def shown_at(host: str, credentials: Sequence[SampleCredential]) -> Sequence[SampleCredential]:
    """Return the credentials for a request with this `Host` header: all on this machine, otherwise none.

    A page on another host, whose name leads to this machine, must not read them.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return ()
    return credentials if name in _THIS_MACHINE else ()
