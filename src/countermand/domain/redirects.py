"""Where may a buyer be led back to after paying?

The address becomes a `Location` header, a link, and a source in a Content-Security-Policy. So it has no user, no blank,
no control character, and no other character that a URL writes with a percent sign.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

LONGEST_URL: Final = 255  # documented for an order
LONGEST_SCHEME: Final = 32
MOST_SCHEMES: Final = 20
EXAMPLE: Final = "https://shop.example/thanks"

# A browser runs what follows these schemes, or shows it as a page of this service or of the buyer's own disk.
NEVER: Final = ("javascript", "data", "file", "vbscript", "blob", "filesystem")

_PORT: Final = r"(?::[0-9]{1,5})?"
_WEB: Final = rf"[Hh][Tt][Tt][Pp][Ss]?://(?:[0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]{{2,45}}\]){_PORT}(?:[/?#][!-~]*)?"
_APP: Final = (
    r"[A-Za-z][A-Za-z0-9+.-]*:(?://[0-9A-Za-z._~%:\[\]-]*(?:[/?#][!-~]*)?|[!-.0-~][!-~]*|/(?:[!-.0-~][!-~]*)?)"
)
_FORBIDDEN: Final = "|".join("".join(f"[{one.upper()}{one}]" for one in scheme) for scheme in NEVER)
URL_PATTERN: Final = rf"^(?!(?:{_FORBIDDEN}):)(?:{_WEB}|(?![Hh][Tt][Tt][Pp][Ss]?:){_APP})$(?!\n)"
SCHEME_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9+.-]*$(?!\n)"

_WEB_PARTS: Final = re.compile(r"(https?)://(\[[^\]]*\]|[^/?#:]*)(?::([0-9]+))?", re.IGNORECASE)
_ALWAYS: Final = ("http", "https")
_SHOWN_CAP: Final = 60  # characters of a wrong value that an error repeats
_LARGEST_PORT: Final = 65_535
_LOOPBACK: Final = "127.0.0.1"


class RedirectError(ValueError):
    """An address or a scheme that is not allowed. `field` is "url" or "schemes"; the message follows its name."""

    def __init__(self, field: str, said: str) -> None:
        super().__init__(said)
        self.field = field


@dataclass(frozen=True, kw_only=True, slots=True)
class Redirects:
    """A client's addresses for buyers: the default `url`, and the `schemes` that are allowed beside http and https."""

    url: str | None = None
    schemes: tuple[str, ...] = ()

    def check_url(self, url: str) -> None:
        """Raise `RedirectError` for an address that buyers of this client may not be led to."""
        if len(url) > LONGEST_URL:
            raise RedirectError("url", f"must be at most {LONGEST_URL} characters, not {len(url)}")
        if not is_address(url):
            raise RedirectError("url", f"must be an address like {EXAMPLE}, not {_shown(url)}")
        scheme = _scheme_of(url)
        if scheme not in (*_ALWAYS, *self.schemes):
            others = f", or with a scheme of this client's list ({', '.join(self.schemes)})" if self.schemes else ""
            allowed = f"must be an address with http or https{others}, not {_shown(url)}"
            listed = "" if self.schemes else "; this client's list of other schemes is empty"
            raise RedirectError("url", allowed + listed)


NO_REDIRECTS: Final = Redirects()


def redirects_of(url: str | None, schemes: Sequence[str]) -> Redirects:
    """Return a client's addresses, with the schemes in small letters, each once. Raises `RedirectError`."""
    for given in schemes:
        scheme = given.lower()
        if not re.match(SCHEME_PATTERN, given) or len(given) > LONGEST_SCHEME:
            wanted = f"a letter and then letters, digits, + . -, {LONGEST_SCHEME} at most, like myapp"
            raise RedirectError("schemes", f"must be the names of schemes ({wanted}), not {_shown(given)}")
        if scheme in NEVER:
            raise RedirectError(
                "schemes", f"must not have {_shown(given)}: a browser could run or read what follows it"
            )
        if scheme in _ALWAYS:
            raise RedirectError("schemes", f"must not have {_shown(given)}: http and https are always allowed")
    if len(schemes) > MOST_SCHEMES:
        raise RedirectError("schemes", f"must be at most {MOST_SCHEMES}, not {len(schemes)}")
    made = Redirects(url=url, schemes=tuple(dict.fromkeys(one.lower() for one in schemes)))
    if url is not None:
        made.check_url(url)
    return made


def is_address(url: str) -> bool:
    """Return whether a text is an address of a web page, or of an app whose scheme a client may list."""
    if not re.match(URL_PATTERN, url):
        return False
    web = _WEB_PARTS.match(url)
    if web is None:
        return True
    host, port = web[2], web[3]
    return (port is None or int(port) <= _LARGEST_PORT) and (not host.startswith("[") or _is_ipv6(host[1:-1]))


def policy_source_of(url: str) -> str | None:
    """Return the source that allows this address in a Content-Security-Policy, or None if no policy may name it.

    A policy cannot name the host of an app's address, nor an IP address other than 127.0.0.1: there the source is the
    scheme.
    """
    scheme = _scheme_of(url)
    if not is_address(url):
        return None
    web = _WEB_PARTS.match(url)
    if web is None or web[2].startswith("[") or (_is_ipv4(web[2]) and web[2] != _LOOPBACK):
        return f"{scheme}:"
    return f"{scheme}://{web[2]}" + ("" if web[3] is None else f":{web[3]}")


def _scheme_of(url: str) -> str:
    return url.partition(":")[0].lower()


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True


def _shown(value: str) -> str:
    """Return a wrong value for an error: cut short, without characters that a terminal would obey."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CAP else text[: _SHOWN_CAP - 1] + "…"
