"""Lists the networks where events are never sent, and those where events are sent only if the operator lists them.

The sources are the registries of special addresses (RFC 6890, with its updates) and the metadata addresses of clouds.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "168.63.129.16",  # Azure's own, within public addresses
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
_PRIVATE: Final = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_FORBIDDEN: Final[Mapping[str, tuple[str, ...]]] = {
    "unspecified": ("0.0.0.0/8", "::/128"),
    "loopback": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/10", "fec0::/10"),
    "shared (carrier-grade NAT)": ("100.64.0.0/10",),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "Teredo": ("2001::/32",),
    "reserved": (
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    ),
    "translated (NAT64)": ("64:ff9b:1::/48",),
}
_KINDS: Final = tuple((ip_network(text), kind) for kind, texts in _FORBIDDEN.items() for text in texts)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # an IPv4 address in the last 32 bits
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")  # an IPv4 address after the first 16 bits
_PUBLIC: Final = IPv6Network("2000::/3")  # the part of IPv6 that is given out


def why_forbidden(address: IPv4Address | IPv6Address) -> str | None:
    """Return the kind of an address that must never be called, or None. An IPv4-mapped address counts as IPv4."""
    if address in _METADATA:
        return "metadata"
    found = next((kind for network, kind in _KINDS if address in network), None)
    if found is not None or isinstance(address, IPv4Address):
        return found
    if (mapped := address.ipv4_mapped) is not None:
        return why_forbidden(mapped)
    if address in _NAT64 or address in _SIX_TO_FOUR:
        shift, form = (0, "NAT64") if address in _NAT64 else (80, "6to4")
        inner = IPv4Address(int(address) >> shift & 0xFFFFFFFF)
        kind = "private" if is_private(inner) else why_forbidden(inner)
        return None if kind is None else f"{kind} ({form})"
    return None if address in _PUBLIC or is_private(address) else "reserved"


def is_private(found: IPv4Address | IPv6Address | IPv4Network | IPv6Network) -> bool:
    """Return whether an address or a whole network is private (RFC 1918, RFC 4193)."""
    if isinstance(found, IPv4Network):
        return any(isinstance(one, IPv4Network) and found.subnet_of(one) for one in _PRIVATE)
    if isinstance(found, IPv6Network):
        return any(isinstance(one, IPv6Network) and found.subnet_of(one) for one in _PRIVATE)
    return any(found in one for one in _PRIVATE)


def private_network(text: str) -> IPv4Network | IPv6Network:
    """Return a network that may be listed as private. Raises `ValueError` for another one."""
    network = ip_network(text)
    if not is_private(network):
        raise ValueError("is not within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fc00::/7")
    return network
