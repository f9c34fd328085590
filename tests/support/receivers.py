"""Receivers of webhooks that behave as badly as receivers can, and events to send to them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from countermand.actions.delivering.endpoints import new_endpoint_id
from countermand.actions.delivering.sending import Sending
from countermand.delivery.addresses import AddressRules
from countermand.delivery.connections import tls_context
from countermand.delivery.secret_box import SecretBox, keys_of, new_key
from countermand.delivery.signing import new_secret
from countermand.delivery.webhook import WebhookSender
from countermand.domain.delivering.endpoint import (
    Endpoint,
    EndpointNumber,
    EndpointState,
    Health,
    Subscription,
)

BOX = SecretBox(keys_of(new_key()))
BODY = '{"type":"order.cancelled","data":{"order":"connect-54","name":"Zoë"}}'.encode()


@dataclass
class Received:
    """A request as it came: the first line, the headers by name in small letters, and the body."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A receiver on a port of this machine, and what it got."""

    port: int
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    got_one: asyncio.Event = field(default_factory=asyncio.Event)
    names: list[str | None] = field(default_factory=list)  # that clients sent before the handshake (SNI)

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/events?of=orders"


# Answers a request, or does something else with the connection.
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def a_receiver(
    answer: Answer, *, tls: ssl.SSLContext | None = None, reads: bool = True
) -> AsyncIterator[Receiver]:
    """Listen while the block runs. A receiver that does not read calls `answer` as soon as there is a connection."""
    receiver = Receiver(port=0)
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        receiver.connections += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not reader.at_eof():
                    if reads:
                        receiver.requests.append(await _request(reader))
                        receiver.got_one.set()
                    await answer(reader, writer)
        finally:
            running.discard(task)
            writer.transport.abort()

    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: receiver.names.append(name)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *rest = head.rstrip().split("\r\n")
    headers = {name.lower(): text for name, _, text in (one.partition(": ") for one in rest)}
    return Received(line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def says(answer: bytes) -> Answer:
    """Answer each request with these bytes."""

    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return write


def status(code: int, *headers: str, body: bytes = b"") -> Answer:
    """Answer each request with a status and headers."""
    lines = [f"HTTP/1.1 {code} Said", f"content-length: {len(body)}", *headers, "", ""]
    return says("\r\n".join(lines).encode() + body)


def a_sending(url: str, **changed: object) -> Sending:
    """Return an attempt to send an event to an endpoint with a new secret. `changed` are fields of either."""
    now = datetime.now(UTC)
    endpoint: dict[str, object] = {
        "number": EndpointNumber(1),
        "id": new_endpoint_id(),
        "url": url,
        "subscription": Subscription(),
        "owner": None,
        "created_at": now,
        "state": EndpointState.ACTIVE,
        "health": Health(),
        "secret": BOX.encrypt(new_secret().encode()),
    }
    endpoint |= {name: changed.pop(name) for name in list(changed) if name in Endpoint.__dataclass_fields__}
    sending: dict[str, object] = {
        "endpoint": Endpoint(**endpoint),  # type: ignore[arg-type]
        "event_id": "evt_connect-54_2_order_cancelled_0011aabb",
        "order_version": 2,
        "attempt": 1,
        "previous": None,
        "body": BODY,
        "content_type": "application/json",
        "headers": (),
        "now": now,
    }
    return Sending(**(sending | changed))  # type: ignore[arg-type]


async def to_this_machine(_host: str, _port: int) -> Sequence[str]:
    """Resolve every name to this machine."""
    return ["127.0.0.1"]


@asynccontextmanager
async def a_sender(
    rules: AddressRules | None = None,
    ca_file: Path | None = None,
    *,
    proxy_url: str | None = None,
    attempt_limit_s: float = 15,
    connect_limit_s: float = 15,  # a busy machine may take longer for a handshake than the 3 s of the product
) -> AsyncIterator[WebhookSender]:
    """Open a sender that may call this machine, and close it after the block."""
    sender = WebhookSender(
        BOX,
        rules or AddressRules(loopback=True, resolver=to_this_machine),
        partial(tls_context, ca_file),
        proxy_url=proxy_url,
        attempt_limit_s=attempt_limit_s,
        connect_limit_s=connect_limit_s,
    )
    try:
        yield sender
    finally:
        await sender.close()


class Authority:
    """A certificate authority of the test's own, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")])
        own = self._certificate(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.file = folder / "authority.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def server(self, host: str, *, expired: bool = False) -> ssl.SSLContext:
        """Return what a server uses that has a certificate for a host."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            name: x509.GeneralName = x509.IPAddress(ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        made = self._certificate(subject, key, x509.SubjectAlternativeName([name]), expired=expired)
        file = self._folder / f"{host}{'-expired' * expired}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        *,
        expired: bool = False,
    ) -> x509.Certificate:
        ends_at = datetime.now(UTC) + (timedelta(days=-1) if expired else timedelta(days=1))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends_at - timedelta(days=10))
            .not_valid_after(ends_at)
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )
