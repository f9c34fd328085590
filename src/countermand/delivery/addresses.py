"""Decides where events may be sent, so that nobody can use this service to reach what only this service can reach.

The same rules hold when an endpoint is added, when it is tested, and at each attempt. `AddressRules.target` checks a
URL, and `AddressRules.resolve` resolves its name once and checks every address. The connection goes to these addresses
alone (`delivery/connections.py`).
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from yarl import URL

from countermand.actions.errors import FieldsError
from countermand.delivery.forbidden_networks import is_private, why_forbidden

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
# Returns the addresses of a name. Raises `OSError` if the name does not resolve.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

LONGEST_URL: Final = 2000
_LONGEST_NAME: Final = 253
_RESOLVE_LIMIT_S: Final = 2.5  # less than the limit to connect, so that an attempt names the cause
_RESOLVERS: Final = 16  # threads: a slow name server of one name holds up few others
_KEPT_URLS: Final = 1024
_SHOWN: Final = 100  # characters of a wrong URL in a sentence


class RefusedAddressError(OSError):
    """The rules forbid this URL or address. The message is a sentence.

    `found` is the address that a name resolved to. The sentence leaves it out, because a subscriber may read it, and
    must not learn the addresses of names inside the operator's network.
    """

    def __init__(self, sentence: str, found: str | None = None) -> None:
        super().__init__(sentence)
        self.found = found


class UnknownNameError(OSError):
    """The name does not resolve. The message is a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """A host and port where this service itself answers."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A checked URL. Its host is a name in small letters, or an address."""

    url: URL
    host: str
    port: int


class SystemResolver:
    """Resolves names as this machine does, in threads of its own, so that a slow name holds up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="webhook names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return all addresses of a name, in the order of preference."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _addresses_of, host, port)
        return [str(address) for address in found]


@dataclass(frozen=True, kw_only=True)
class AddressRules:
    """The rules of a deployment.

    `private` are the private networks that may be called, `loopback` says whether this machine may, also without TLS,
    and `own` are the listeners of this service, which may never be called. With `proxied`, an egress proxy resolves the
    names and connects; the proxy has to refuse what a name resolves to, and only addresses in a URL are checked here.
    """

    private: Sequence[Network] = ()
    loopback: bool = False
    own: Sequence[Listener] = ()
    proxied: bool = False
    resolver: Resolve = field(default_factory=SystemResolver)

    async def check(self, text: str) -> None:
        """Check a URL as each attempt checks it. Raises `FieldsError` about `url`."""
        try:
            target = self.target(text)
            if not self.proxied:
                await self.resolve(target.host, target.port, text)
        except (RefusedAddressError, UnknownNameError) as error:
            raise FieldsError([("url", str(error))]) from None

    def target(self, text: str) -> Target:
        """Return the target of a URL. Raises `RefusedAddressError`; an address in the URL is checked, a name is not."""
        shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
        url = _parsed(text, shown)
        host, port = url.raw_host or "", url.port or 0
        if any(host == one.host and port == one.port for one in self.own):
            raise RefusedAddressError(f"url must not be an address of this service, and {shown} is")
        address = _address_in(host)
        if address is None:
            _check_name(host, shown)
        else:
            self._check(address, port, shown)
        if url.scheme == "http" and not (self.loopback and _may_be_loopback(host, address)):
            raise RefusedAddressError(f"url must begin with https://, and {shown} does not")
        if address is None and self.proxied and _is_local(host):
            raise RefusedAddressError(f"url must not lead to this machine, and {shown} does")
        return Target(url=url, host=host, port=port)

    async def resolve(self, host: str, port: int, text: str | None = None) -> Sequence[str]:
        """Return the addresses of a host, all of which may be called.

        Raises `RefusedAddressError` if one of them may not, and `UnknownNameError` if there is none.
        """
        shown = repr(text if text is not None and len(text) <= _SHOWN else host)
        if (address := _address_in(host)) is not None:
            self._check(address, port, shown)
            return [host]
        try:
            async with asyncio.timeout(_RESOLVE_LIMIT_S):
                found = await self.resolver(host, port)
        except TimeoutError:
            raise UnknownNameError(f"the name {host!r} did not resolve within {_RESOLVE_LIMIT_S:g} s") from None
        except (OSError, UnicodeError) as error:
            raise UnknownNameError(f"the name {host!r} does not resolve: {error}") from None
        if not found:
            raise UnknownNameError(f"the name {host!r} has no address")
        for one in found:
            try:
                self._check(ip_address(one), port, f"{shown}, by an address of its name,")
            except RefusedAddressError as error:
                raise RefusedAddressError(str(error), one) from None
            if _is_local(host) and not ip_address(one).is_loopback:  # it may be called without TLS
                raise RefusedAddressError(f"url must not have the name {host!r}, which is not this machine here", one)
        return list(dict.fromkeys(found))

    def check_address(self, host: str, port: int) -> None:
        """Check an address right before a connection goes to it. Raises `RefusedAddressError`."""
        self._check(ip_address(host), port, repr(host))

    def _check(self, address: Address, port: int, shown: str) -> None:
        plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
        if any(port == one.port and _is_own(plain, one.host) for one in self.own):
            raise RefusedAddressError(f"url must not be an address of this service, and {shown} is")
        if plain.is_loopback:
            if not self.loopback:
                raise RefusedAddressError(f"url must not lead to this machine (loopback), and {shown} does")
            return
        if (kind := why_forbidden(plain)) is not None:
            raise RefusedAddressError(f"url must not lead to an address of the kind {kind}, and {shown} does")
        if is_private(plain) and not any(plain in network for network in self.private):
            raise RefusedAddressError(
                f"url must not lead to a private address, unless the operator lists its network in "
                f"COUNTERMAND_WEBHOOK_PRIVATE_NETWORKS, and {shown} does"
            )


def listener_at(url: str) -> Listener | None:
    """Return the host and port of an address of this service, or None if it names none."""
    parsed = URL(url)
    return None if parsed.raw_host is None or parsed.port is None else Listener(host=parsed.raw_host, port=parsed.port)


def _addresses_of(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@lru_cache(maxsize=_KEPT_URLS)
def _parsed(text: str, shown: str) -> URL:
    if len(text) > LONGEST_URL:
        raise RefusedAddressError(f"url must have at most {LONGEST_URL} characters, and {shown} has {len(text)}")
    if "\\" in text or not text.isprintable() or any(character.isspace() for character in text):
        raise RefusedAddressError(f"url must have no space, backslash or control character, and {shown} has one")
    try:
        url = URL(text)
        host, port = url.raw_host, url.explicit_port
    except ValueError as error:
        raise RefusedAddressError(f"url must be a URL like https://shop.example/events, not {shown}: {error}") from None
    # The parser drops an empty user and brackets around a name, so these are looked for in the text.
    written = re.split("[/?#]", text.partition("://")[2], maxsplit=1)[0]
    if url.scheme not in {"http", "https"} or not host or ("[" in written and ":" not in host):
        raise RefusedAddressError(f"url must be a URL like https://shop.example/events, not {shown}")
    if "@" in written:
        raise RefusedAddressError(f"url must have no user name or password, and {shown} has one")
    if "%" in host:
        raise RefusedAddressError(f"url must have a host name, or an address without a zone, not as {shown} has")
    if port == 0:
        raise RefusedAddressError(f"url must have a port from 1 to 65535, and {shown} has port 0")
    if url.raw_fragment:
        raise RefusedAddressError(f"url must have no fragment (#…), which is never sent, and {shown} has one")
    return url


def _address_in(host: str) -> Address | None:
    with suppress(ValueError):
        return ip_address(host)
    return None


def _check_name(host: str, shown: str) -> None:
    """Check a host that is no address. Of all forms of IPv4 addresses, only four decimal numbers count as one."""
    labels = host.split(".")
    if len(host) > _LONGEST_NAME or not all(0 < len(label) < 64 for label in labels):  # noqa: PLR2004 - RFC 1035
        raise RefusedAddressError(
            f"url must have a host name without a full stop at its end, with labels of 1 to 63 characters, and {shown} "
            "has another"
        )
    if not host.isascii() or not all(label.replace("-", "").replace("_", "").isalnum() for label in labels):
        raise RefusedAddressError(f"url must have a host name of letters, digits and hyphens, and {shown} has another")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        raise RefusedAddressError(f"url must have an IPv4 address as four decimal numbers, not as {shown} has")


def _is_local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _may_be_loopback(host: str, address: Address | None) -> bool:
    """Return whether a URL without TLS stays on this machine: an address of it, or a name that only means it."""
    if address is None:
        return _is_local(host)
    return address.is_loopback or (
        isinstance(address, IPv6Address) and address.ipv4_mapped is not None and address.ipv4_mapped.is_loopback
    )


def _is_own(address: Address, host: str) -> bool:
    """Return whether a listener at `host` answers at an address, at the same port."""
    listening = _address_in("127.0.0.1" if _is_local(host) else host)
    if listening is None:
        return False
    if listening.is_unspecified:
        return address.is_loopback or _is_of_this_machine(address)
    return address == listening or (address.is_loopback and listening.is_loopback)


def _is_of_this_machine(address: Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
