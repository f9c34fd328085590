"""A plain body is understood without a parser, and says the same as with one."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.errors import CountermandError
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.cancelling.cancel import ShoppingCancel
from countermand.contracts.shopping.contract import CHANNEL
from countermand.domain.client import Client, ClientId, Permission

UID = "87a2195h3gd162fb35c5a3dbd7bapo1l"
PUBLIC = "https://shop.example/é.+"
ADDRESSES = Addresses(
    public=PUBLIC,
    documentation="https://docs.example",
    payment="https://pay.example/{uid}",
    etickets="https://tickets.example/{token}",
    also=("http://127.0.0.1:8080", 'http://odd".example', "http://odd\\.example"),
)
CLIENT = Client(
    id=ClientId(1),
    channel=CHANNEL,
    name="a shop",
    permissions=frozenset({Permission.CANCEL}),
    key=None,
    identity=None,
    created_at=datetime(2026, 11, 30, tzinfo=UTC),
)
NEVER = re.compile(rb"(?!)")
PLAIN = [
    {"order": f"{PUBLIC}/orders/{UID}", "reason": "The visitor cannot come"},
    {"order": f"{PUBLIC}/orders/{UID}/", "reason": " x"},
    {"order": f"http://127.0.0.1:8080/orders/{UID}", "reason": "~" * 500},
]

names = [*(one for it in PLAIN for one in it.values()), *ADDRESSES.also, f'http://odd".example/orders/{UID}', "", " "]
values = st.sampled_from([*names, "é", "\\", '"', "\x7f", "\t", "x" * 2000, "x" * 2001, " " * 2001 + "x", 7, None])
white = st.sampled_from(["", "", " ", "\t\r\n", "\f", "\v", "\xa0", "\ufeff"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Bodies that are plain or nearly so: other values, white space, orders, escapes, fields, and a byte changed."""
    fields = draw(st.sampled_from(PLAIN)) | draw(
        st.dictionaries(st.sampled_from(["order", "reason", "more"]), values, max_size=2)
    )
    if draw(st.booleans()):
        fields = dict(sorted(fields.items(), reverse=draw(st.booleans())))
    separators = (draw(white) + "," + draw(white), draw(white) + ":" + draw(white))
    text = json.dumps(fields, separators=separators, ensure_ascii=draw(st.booleans()))
    body = bytearray((draw(white) + text + draw(white)).encode())
    if draw(st.booleans()):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


@given(body=bodies() | st.binary(max_size=60))
@example(body=b'{"order": "https://shop.example/\xc3\xa9.+/orders/%s", "order": "", "reason": "x"}' % UID.encode())
@example(body=b'{"order":"http://odd\\.example/orders/%s","reason":"x"}' % UID.encode())
@example(body=b'{"order":"http://odd".example/orders/%s","reason":"x"}' % UID.encode())
def test_every_body_means_the_same_with_and_without_the_short_cut(body: bytes):
    assert understood(ShoppingCancel(ADDRESSES), body) == understood(with_care(), body)


@pytest.mark.parametrize("fields", PLAIN)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_what_programs_write_needs_no_parser(fields: dict[str, str], separators: tuple[str, str]):
    text = json.dumps(fields, separators=separators, ensure_ascii=False).encode()

    for body in (text, b"\n" + text + b"\r\n"):
        assert ShoppingCancel(ADDRESSES)._plain.fullmatch(body)
        command = understood(ShoppingCancel(ADDRESSES), body)
        assert (command.order_name, command.reason) == (f"shopping-{UID}", fields["reason"])
        assert command == understood(with_care(), body)


@pytest.mark.parametrize("body", [*(b'{"order":"%s","reason":"%s"}' % it for it in [(b"", b"x"), (b"x", b"\\u0041")])])
def test_everything_else_goes_through_the_parser(body: bytes):
    assert ShoppingCancel(ADDRESSES)._plain.fullmatch(body) is None


def test_a_request_with_a_key_is_read_so_that_the_key_stands_for_its_message():
    spaced, plain = (json.dumps(PLAIN[0], separators=one).encode() for one in [(" , ", " : "), (",", ":")])
    first, second = (
        understood(ShoppingCancel(ADDRESSES), body, {b"idempotency-key": b"k"}) for body in (spaced, plain)
    )

    assert first.idempotency.fingerprints.message == second.idempotency.fingerprints.message
    assert first.idempotency.fingerprints.request != second.idempotency.fingerprints.request


def test_without_an_address_that_needs_no_escape_no_body_is_plain():
    odd = ShoppingCancel(Addresses(public='http://"', documentation="", payment="", etickets=""))

    assert odd._plain.fullmatch(b'{"order":"/orders/%s","reason":"x"}' % UID.encode()) is None


def with_care() -> ShoppingCancel:
    endpoint = ShoppingCancel(ADDRESSES)
    endpoint._plain = NEVER
    return endpoint


def understood(endpoint: ShoppingCancel, body: bytes, headers: dict[bytes, bytes] | None = None) -> Any:
    """The command, or what the error says."""
    try:
        return endpoint.command(CLIENT, headers or {}, b"", body, CommandId("c"), "192.0.2.1")
    except CountermandError as error:
        return type(error), str(error), list(_fields(error))


def _fields(error: Exception) -> Iterator[tuple[str, str]]:
    yield from getattr(error, "errors", ())
