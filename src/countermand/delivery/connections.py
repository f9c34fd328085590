"""Opens connections to receivers: only to addresses that the rules allow, or to the egress proxy alone.

The name of the URL stays in TLS (SNI, certificate) and in `Host`. The number of connections is limited for each host,
so that a receiver that hangs takes no connection from the others.
"""

import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection

from countermand import __version__
from countermand.delivery.addresses import AddressRules

CONNECT_LIMIT_S: Final = 3.0  # for the name, the connection and the handshake of TLS
_AT_ONCE: Final = 1000
_AT_ONCE_FOR_A_HOST: Final = 256
_LARGEST_LINE_BYTES: Final = 8190
_MOST_HEADERS: Final = 100
_BUFFER_BYTES: Final = 1 << 14


@dataclass(slots=True)
class Call:
    """What an attempt learns of its connection: the address, and whether the attempt opened the connection."""

    address: str | None = None
    is_fresh: bool = False


CALL: ContextVar[Call | None] = ContextVar("CALL", default=None)


def open_session(
    rules: AddressRules, tls: ssl.SSLContext, *, proxy_url: str | None, connect_limit_s: float = CONNECT_LIMIT_S
) -> ClientSession:
    """Return a session that follows the rules. It obeys no variable such as HTTPS_PROXY, and keeps no cookies."""
    connector = TCPConnector(
        ssl=tls,
        resolver=None if proxy_url is not None else _CheckingResolver(rules),
        socket_factory=_socket_factory(None if proxy_url is not None else rules),
        use_dns_cache=False,
        limit=_AT_ONCE,
        limit_per_host=_AT_ONCE_FOR_A_HOST,
    )
    return ClientSession(
        connector=connector,
        proxy=proxy_url,
        response_class=_Response,
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=ClientTimeout(total=None, connect=connect_limit_s),
        read_bufsize=_BUFFER_BYTES,
        max_line_size=_LARGEST_LINE_BYTES,
        max_field_size=_LARGEST_LINE_BYTES,
        max_headers=_MOST_HEADERS,
        headers={"user-agent": f"Countermand/{__version__}", "accept": "*/*", "accept-encoding": "identity"},
    )


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return how receivers are verified: by the authorities of this machine and, if there are, those of a file."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def check_authorities(ca_file: Path | None) -> None:
    """Raise `ValueError` if a file has no certificate authorities."""
    if ca_file is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
    except OSError as error:  # an `ssl.SSLError` is one, too
        raise ValueError(f"must be a file with certificates (PEM): {error.strerror or error}") from None


class _CheckingResolver(AbstractResolver):
    """Gives the connector the checked addresses of a name."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - every family is resolved
    ) -> list[ResolveResult]:
        """Return the addresses. Raises `RefusedAddressError` and `UnknownNameError`, which are `OSError`."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self._rules.resolve(host, port)
        ]

    async def close(self) -> None:
        """Close nothing: the rules outlive the connector."""


class _Response(ClientResponse):
    """A response that notes the address of its connection before it waits for the answer."""

    async def start(self, connection: Connection) -> ClientResponse:
        call, transport = CALL.get(), connection.transport
        if call is not None and transport is not None and (peer := transport.get_extra_info("peername")):
            call.address = peer[0]
        return await super().start(connection)


# What aiohttp gives a function that makes a socket: family, type, protocol, name, and host and port.
_AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


def _socket_factory(rules: AddressRules | None) -> Callable[[_AddressInfo], socket.socket]:
    """Return a function that makes the socket for an address, which the rules must allow: the last gate of all."""

    def new_socket(info: _AddressInfo) -> socket.socket:
        family, kind, protocol, _, where = info
        host, port = where[:2]
        assert isinstance(host, str)
        assert isinstance(port, int)
        if rules is not None:
            rules.check_address(host, port)
        if (call := CALL.get()) is not None:
            call.address, call.is_fresh = host, True
        return socket.socket(family, kind, protocol)

    return new_socket
