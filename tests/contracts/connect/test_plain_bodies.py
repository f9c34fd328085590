"""A plain body is understood without a parser, and says the same as with one."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.errors import CountermandError
from countermand.contracts.connect import cancel
from countermand.contracts.connect.cancel import ConnectCancel
from countermand.contracts.connect.contract import CHANNEL
from countermand.contracts.connect.versions import Versions
from countermand.domain.client import Client, ClientId, Permission

CLIENT = Client(
    id=ClientId(1),
    channel=CHANNEL,
    name="a partner",
    permissions=frozenset({Permission.CANCEL}),
    key=None,
    identity=None,
    created_at=datetime(2026, 11, 30, tzinfo=UTC),
)
HEADERS = {b"x-api-version": b"8"}
NEVER = re.compile(rb"(?!)")
numbers = st.sampled_from([0, 1, -1, 10**18 - 1, 10**18, 2**63 - 1, 2**63, 10**400, 1.0, "7", None, True, [1]])
white = st.sampled_from(["", "", " ", "\t\r\n", "\f", "\v", "\xa0", "\ufeff"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Bodies that are plain or nearly so: other values, white space, fields, and a byte changed."""
    fields = {"orderId": draw(numbers | st.integers(-5, 10**20))}
    fields |= draw(st.dictionaries(st.sampled_from(["orderId", "orderid", "more"]), numbers, max_size=1))
    separators = (draw(white) + "," + draw(white), draw(white) + ":" + draw(white))
    body = bytearray((draw(white) + json.dumps(fields, separators=separators) + draw(white)).encode())
    if draw(st.booleans()):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


@given(body=bodies() | st.binary(max_size=40))
@example(body=b'{"orderId":1,"orderId":2}')
@example(body=b'{"orderId":01}')
@example(body=b'{"orderId":1}\n')
@example(body=b'{"orderId":1}\0')
def test_every_body_means_the_same_with_and_without_the_short_cut(body: bytes):
    assert understood(body) == with_care(body)


@pytest.mark.parametrize(
    "body", [b'{"orderId":54}', b'{"orderId": 54}', b'{ "orderId" : 54 }\r\n', b'\t{"orderId":54}']
)
def test_what_programs_write_needs_no_parser(body: bytes):
    assert cancel._PLAIN_BODY.fullmatch(body)
    assert understood(body).order_id == 54
    assert understood(body) == with_care(body)


@pytest.mark.parametrize("body", [b'{"orderId":0}', b'{"orderId":054}', b'{"orderId":9999999999999999999}', b"", b"{}"])
def test_everything_else_goes_through_the_parser(body: bytes):
    assert cancel._PLAIN_BODY.fullmatch(body) is None


def test_a_request_with_a_key_is_read_so_that_the_key_stands_for_its_message():
    keyed = HEADERS | {b"idempotency-key": b"k"}
    first, second = (understood(body, keyed).idempotency for body in (b'{"orderId":54}', b'{ "orderId": 54 }'))

    assert first.fingerprints.message == second.fingerprints.message
    assert first.fingerprints.request != second.fingerprints.request


def with_care(body: bytes) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cancel, "_PLAIN_BODY", NEVER)
        return understood(body)


def understood(body: bytes, headers: dict[bytes, bytes] = HEADERS) -> Any:
    """The command, or what the error says."""
    try:
        return ConnectCancel(Versions()).command(CLIENT, headers, b"", body, CommandId("c"), "192.0.2.1")
    except CountermandError as error:
        return type(error), str(error), list(getattr(error, "errors", ()))
