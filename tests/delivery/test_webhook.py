"""What is sent, and how an attempt ends, with receivers that answer as HTTP says."""

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from countermand import __version__
from countermand.actions.delivering.sending import AttemptError
from countermand.delivery.addresses import AddressRules, Listener
from countermand.delivery.secret_box import SecretBox, keys_of, new_key
from countermand.delivery.signing import SignedRequest, new_secret, new_signing_key, public_key_of, why_unfit
from support.receivers import BODY, BOX, Authority, Received, a_receiver, a_sender, a_sending, says, status

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OLD, NEW, KEY = new_secret(), new_secret(), new_signing_key()


async def sent(**changed: object) -> Received:
    async with a_receiver(status(204)) as receiver, a_sender() as sender:
        result = await sender.send(a_sending(receiver.url(), **{"now": NOW} | changed))
        assert (result.error, result.status, result.address) == (None, 204, "127.0.0.1")
        (request,) = receiver.requests
        return request


def fits(request: Received, *secrets: str, key: str | None = None) -> bool:
    signed = SignedRequest.of(request.headers, request.body)
    keys = [] if key is None else [public_key_of(key)]
    return why_unfit(signed, endpoint_secrets=secrets, public_keys=keys, now_s=NOW.timestamp()) is None


def sealed(text: str) -> bytes:
    return BOX.encrypt(text.encode())


async def test_the_body_is_sent_as_it_is_with_all_headers_and_no_others():
    request = await sent(
        previous="evt_connect-54_1_order_placed_ccddeeff",
        attempt=3,
        headers=[("z-event-type", "appointment.cancelled.event")],
        content_type="application/cloudevents+json",
        now=NOW,
    )
    assert request.line == "POST /events?of=orders HTTP/1.1"
    assert request.body == BODY
    assert request.headers.pop("webhook-signature").startswith("v1,")
    assert request.headers.pop("host").startswith("127.0.0.1:")
    assert request.headers == {
        "webhook-id": "evt_connect-54_2_order_cancelled_0011aabb",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "countermand-order-version": "2",
        "countermand-attempt": "3",
        "countermand-previous-event": "evt_connect-54_1_order_placed_ccddeeff",
        "z-event-type": "appointment.cancelled.event",
        "content-type": "application/cloudevents+json",
        "content-length": str(len(BODY)),
        "user-agent": f"Countermand/{__version__}",
        "accept": "*/*",
        "accept-encoding": "identity",
    }


async def test_the_first_event_of_an_order_names_no_previous_one():
    assert "countermand-previous-event" not in (await sent()).headers


async def test_a_header_of_the_dialect_never_replaces_one_about_the_delivery():
    request = await sent(
        headers=[("webhook-id", "another"), ("content-type", "text/plain"), ("countermand-attempt", "9")]
    )
    assert request.headers["webhook-id"] == "evt_connect-54_2_order_cancelled_0011aabb"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["countermand-attempt"] == "1"


async def test_a_header_of_the_dialect_cannot_add_another_one():
    async with a_receiver(status(204)) as receiver, a_sender() as sender:
        for text in ("a\r\nwebhook-id: another", "a\nb", "a\x00b"):
            with pytest.raises(ValueError, match="control character"):
                await sender.send(a_sending(receiver.url(), headers=[("ce-subject", text)]))
        assert (await sender.send(a_sending(receiver.url(), headers=[("ce-subject", "Zoë")]))).error is None
        (request,) = receiver.requests
        assert request.headers["ce-subject"] == "Zoë"


async def test_the_signature_is_that_of_the_endpoints_secret():
    request = await sent(secret=sealed(NEW))
    assert fits(request, NEW)
    assert not fits(request, OLD)


@pytest.mark.parametrize(("seconds", "old_fits"), [(1, True), (0, False), (-1, False)])
async def test_the_old_secret_signs_until_the_overlap_ends(seconds: int, *, old_fits: bool):
    until = NOW + timedelta(seconds=seconds)
    request = await sent(secret=sealed(NEW), previous_secret=sealed(OLD), previous_secret_until=until, now=NOW)
    assert fits(request, NEW)
    assert fits(request, OLD) is old_fits
    assert len(request.headers["webhook-signature"].split()) == 1 + old_fits


async def test_an_old_secret_that_no_key_decrypts_keeps_nothing_from_being_signed_with_the_new_one():
    foreign = SecretBox(keys_of(new_key())).encrypt(OLD.encode())
    until = NOW + timedelta(seconds=1)
    request = await sent(secret=sealed(NEW), previous_secret=foreign, previous_secret_until=until, now=NOW)
    assert fits(request, NEW)
    assert len(request.headers["webhook-signature"].split()) == 1


async def test_an_endpoint_with_a_signing_key_gets_both_kinds_of_signatures():
    request = await sent(secret=sealed(NEW), signing_key=sealed(KEY))
    assert [one.partition(",")[0] for one in request.headers["webhook-signature"].split()] == ["v1", "v1a"]
    assert fits(request, NEW)
    assert fits(request, key=KEY)
    assert not fits(request, key=new_signing_key())


async def test_a_secret_that_no_key_decrypts_is_a_failure_that_says_so_and_nothing_is_sent():
    foreign = SecretBox(keys_of(new_key())).encrypt(NEW.encode())
    async with a_receiver(status(204)) as receiver, a_sender() as sender:
        for changed in ({"secret": foreign}, {"signing_key": foreign}, {"secret": b"plain"}):
            result = await sender.send(a_sending(receiver.url(), **changed))
            assert result.error is AttemptError.SECRET
            assert "COUNTERMAND_WEBHOOK_SECRET_KEY" in (result.detail or "")
            assert NEW not in (result.detail or "")
        assert receiver.connections == 0
        assert (await sender.send(a_sending(receiver.url()))).error is None


@pytest.mark.parametrize(
    ("code", "headers", "error", "disables", "aborts"),
    [
        (200, (), None, False, False),
        (202, (), None, False, False),
        (299, (), None, False, False),
        (300, (), AttemptError.STATUS, False, False),
        (301, ("location: http://127.0.0.1/",), AttemptError.STATUS, False, False),
        (304, (), AttemptError.STATUS, False, False),
        (400, (), AttemptError.STATUS, False, False),
        (404, (), AttemptError.STATUS, False, False),
        (409, (), AttemptError.STATUS, False, False),
        (410, (), AttemptError.STATUS, True, False),
        (429, (), AttemptError.STATUS, False, False),
        (500, (), AttemptError.STATUS, False, False),
        (599, (), AttemptError.STATUS, False, False),
        (400, ("webhook-delivery: disable",), AttemptError.STATUS, True, False),
        (400, ("Webhook-Delivery:  DISABLE ",), AttemptError.STATUS, True, False),
        (200, ("webhook-delivery: disable",), None, True, False),
        (400, ("webhook-delivery: abort-message",), AttemptError.STATUS, False, True),
        (200, ("webhook-delivery: abort-message",), None, False, False),
        (400, ("webhook-delivery: later",), AttemptError.STATUS, False, False),
    ],
)
async def test_the_status_and_the_headers_say_how_the_attempt_ended(
    code: int, headers: tuple[str, ...], error: AttemptError | None, *, disables: bool, aborts: bool
):
    async with a_receiver(status(code, *headers)) as receiver, a_sender() as sender:
        result = await sender.send(a_sending(receiver.url()))
        assert (result.error, result.status, result.disables, result.aborts) == (error, code, disables, aborts)
        assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 4000, 3600),
        pytest.param(
            format_datetime(NOW.replace(microsecond=0) + timedelta(seconds=90), usegmt=True),
            90,
            id="in a minute and a half",
        ),
        pytest.param(format_datetime(NOW + timedelta(days=9), usegmt=True), 3600, id="in nine days"),
        pytest.param(format_datetime(NOW - timedelta(days=9), usegmt=True), 0, id="nine days ago"),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Sun, 99 Nov 9999 99:99:99 GMT", None),
        ("٣", None),
    ],
)
async def test_a_receiver_may_ask_for_up_to_an_hour(text: str, seconds: float | None):
    sending_at = NOW.replace(microsecond=0)
    async with a_receiver(status(503, f"retry-after: {text}")) as receiver, a_sender() as sender:
        result = await sender.send(a_sending(receiver.url(), now=sending_at))
        assert (result.error, result.retry_after_s) == (AttemptError.STATUS, seconds)
    async with a_receiver(status(200, f"retry-after: {text}")) as receiver, a_sender() as sender:
        assert (await sender.send(a_sending(receiver.url()))).retry_after_s is None


async def test_a_redirect_is_not_followed_and_a_cookie_is_not_kept():
    async with a_receiver(status(204)) as other, a_sender() as sender:
        answer = status(307, f"location: {other.url()}", "set-cookie: a=b")
        async with a_receiver(answer) as receiver:
            for _ in range(3):
                result = await sender.send(a_sending(receiver.url()))
                assert (result.error, result.status) == (AttemptError.STATUS, 307)
                assert "redirect" in (result.detail or "")
            assert len(receiver.requests) == 3
            assert not [one for one in receiver.requests if "cookie" in one.headers]
        assert other.connections == 0


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (1, 1), (1024, 1024), (1025, 1024), (100_000, 1024)])
async def test_the_first_kib_of_the_answer_is_kept(count: int, kept: int):
    async with a_receiver(status(500, body=b"x" * count)) as receiver, a_sender() as sender:
        assert (await sender.send(a_sending(receiver.url()))).answer == b"x" * kept


async def test_a_compressed_answer_stays_compressed():
    bomb = gzip.compress(b"x" * 10_000_000)
    async with a_receiver(status(200, "content-encoding: gzip", body=bomb)) as receiver, a_sender() as sender:
        result = await sender.send(a_sending(receiver.url()))
        assert (result.error, result.answer) == (None, bomb[:1024])


async def test_a_connection_is_used_again_and_an_answer_that_is_too_long_costs_it():
    async with a_receiver(status(200, body=b"x" * 2000)) as receiver, a_sender() as sender:
        for _ in range(5):
            assert (await sender.send(a_sending(receiver.url()))).error is None
        assert (receiver.connections, len(receiver.requests)) == (1, 5)
    async with a_receiver(status(200, body=b"x" * 200_000)) as receiver, a_sender() as sender:
        for _ in range(5):
            assert (await sender.send(a_sending(receiver.url()))).error is None
        assert (receiver.connections, len(receiver.requests)) == (5, 5)


async def test_a_kept_connection_that_the_receiver_closes_unheard_is_no_failure():
    answered = 0

    async def closes_at_the_second_request(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        if answered:
            answered = 0
            writer.transport.abort()
            return
        answered += 1
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with a_receiver(closes_at_the_second_request) as receiver, a_sender() as sender:
        for _ in range(4):
            assert (await sender.send(a_sending(receiver.url()))).error is None
        assert receiver.connections > 1
        assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1


async def test_the_address_is_checked_at_each_attempt():
    found = [["127.0.0.1"], ["127.0.0.1", "10.0.0.1"], []]

    async def resolve(*_: object) -> list[str]:
        return found.pop(0)

    rules = AddressRules(loopback=True, resolver=resolve)
    answer = status(204, "connection: close")
    async with a_receiver(answer) as receiver, a_sender(rules) as sender:
        url = receiver.url(host="localhost")
        assert (await sender.send(a_sending(url))).error is None
        refused = await sender.send(a_sending(url))
        assert (refused.error, refused.status) == (AttemptError.REFUSED_ADDRESS, None)
        assert "10.0.0.1" in (refused.detail or "")
        assert (await sender.send(a_sending(url))).error is AttemptError.NAME
        assert len(receiver.requests) == 1


async def test_an_address_in_the_url_is_checked_without_a_name():
    async with a_receiver(status(204)) as receiver:
        own = [Listener(host="127.0.0.1", port=receiver.port)]
        for rules in (AddressRules(), AddressRules(loopback=True, own=own)):
            async with a_sender(rules) as sender:
                for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost"):
                    result = await sender.send(a_sending(receiver.url(host=host)))
                    assert result.error is AttemptError.REFUSED_ADDRESS
        assert receiver.connections == 0


async def test_variables_name_no_proxy(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await sent()).body == BODY


async def test_the_proxy_of_the_setting_gets_every_request():
    async with a_receiver(status(204)) as proxy:
        rules = AddressRules(loopback=True, proxied=True)
        async with a_sender(rules, proxy_url=f"http://user:password@127.0.0.1:{proxy.port}") as sender:
            assert (await sender.send(a_sending("http://127.0.0.1:9/events"))).error is None
            assert proxy.requests[0].line == "POST http://127.0.0.1:9/events HTTP/1.1"
    async with (
        a_receiver(status(403)) as proxy,
        a_sender(AddressRules(proxied=True), proxy_url=f"http://127.0.0.1:{proxy.port}") as sender,
    ):
        result = await sender.send(a_sending("https://shop.example/events"))
        assert result.error is AttemptError.CONNECT
        assert "the proxy refused the connection: 403" in (result.detail or "")
        assert proxy.requests[0].line == "CONNECT shop.example:443 HTTP/1.1"
    async with a_sender(AddressRules(proxied=True), proxy_url="http://127.0.0.1:9") as sender:
        result = await sender.send(a_sending("https://shop.example/events"))
        assert result.error is AttemptError.CONNECT
        assert "to the proxy" in (result.detail or "")


async def test_over_tls_the_name_stays_in_the_handshake_and_in_the_host_header(tmp_path: Path):
    authority = Authority(tmp_path)
    tls = authority.server("shop.example")
    async with a_receiver(status(204), tls=tls) as receiver, a_sender(ca_file=authority.file) as sender:
        result = await sender.send(a_sending(receiver.url("SHOP.example", "https")))
        assert (result.error, result.address) == (None, "127.0.0.1")
        assert receiver.names == ["shop.example"]
        assert receiver.requests[0].headers["host"] == f"shop.example:{receiver.port}"


async def test_an_address_can_have_a_certificate_of_its_own(tmp_path: Path):
    authority = Authority(tmp_path)
    tls = authority.server("127.0.0.1")
    async with a_receiver(status(204), tls=tls) as receiver, a_sender(ca_file=authority.file) as sender:
        assert (await sender.send(a_sending(receiver.url(scheme="https")))).error is None


async def test_only_a_certificate_that_holds_counts(tmp_path: Path):
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    for tls, ca_file in (
        (authority.server("shop.example"), None),
        (authority.server("shop.example"), other.file),
        (authority.server("another.example"), authority.file),
        (authority.server("127.0.0.1"), authority.file),
        (authority.server("shop.example", expired=True), authority.file),
    ):
        async with a_receiver(status(204), tls=tls) as receiver, a_sender(ca_file=ca_file) as sender:
            result = await sender.send(a_sending(receiver.url("shop.example", "https")))
            assert (result.error, result.status) == (AttemptError.TLS, None)
            assert "certificate verify failed" in (result.detail or "")
            assert receiver.requests == []


async def test_a_receiver_without_tls_gets_nothing_over_https():
    async with a_receiver(says(b"HTTP/1.1 200 OK\r\n\r\n"), reads=False) as receiver, a_sender() as sender:
        assert (await sender.send(a_sending(receiver.url("shop.example", "https")))).error is AttemptError.TLS
