"""Who may ask for a cancellation, how, and in which order are they told no?"""

import base64
import secrets

import httpx
import pytest

from countermand.actions.identity.secrets import hash_of
from countermand.domain.client import Permission
from support.contracts import SHOPPING
from support.database_contents import changed, contents
from support.shared_world import shared_both_worlds, shared_world
from support.shopping_calls import cancel, kind
from support.world import EVERYTHING, PUBLIC_URL, Caller, World

world = shared_world
both_worlds = shared_both_worlds

_UNKNOWN = f"{PUBLIC_URL}/orders/{'0' * 32}"


@pytest.mark.parametrize("path", ["/ordercancellation/", "/ordercancellation"])
async def test_both_spellings_of_the_path_cancel_without_a_redirect(both_worlds: World, path: str):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    answer = await cancel(both_worlds, me, both_worlds.uri(order), path=path)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert not answer.history
    assert "location" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_post_is_accepted_and_the_answer_says_so(both_worlds: World, method: str):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    before = await contents(both_worlds)
    body = {"order": both_worlds.uri(order), "reason": "r"}
    for path in ["/ordercancellation/", "/ordercancellation"]:
        answer = await both_worlds.http.request(method, path, json=body, headers=both_worlds.shopping_headers(me))
        assert (answer.status_code, answer.headers.get("allow")) == (405, "POST")
        if method != "HEAD":
            assert answer.json()["type"] == "METHOD_NOT_ALLOWED"
    assert not changed(before, await contents(both_worlds))


def _basic(text: str | bytes) -> str:
    return "Basic " + base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


_NOT_WHO = {
    "nothing": lambda _: None,
    "an empty value": lambda _: "",
    "the scheme alone": lambda _: "Basic",
    "broken Base64": lambda me: me.basic[:-3] + "*=",
    "the page's letters, unpadded": lambda _: "Basic a",
    "no Base64 at all": lambda me: f"Basic {me.key}:{me.secret}",
    "no colon": lambda me: _basic(me.key),
    "an empty secret": lambda me: _basic(f"{me.key}:"),
    "an empty key": lambda me: _basic(f":{me.secret}"),
    "another secret": lambda me: _basic(f"{me.key}:{me.secret}x"),
    "the secret cut short": lambda me: _basic(f"{me.key}:{me.secret[:-1]}"),
    "an unknown key": lambda me: _basic(f"nobody:{me.secret}"),
    "a unicode key": lambda me: _basic(f"kéy→{me.key}:{me.secret}"),
    "a unicode secret": lambda me: _basic(f"{me.key}:{me.secret}→"),
    "bytes that are no text": lambda me: _basic(b"\xff\xfe" + me.key.encode() + b":s"),
    "a NUL in the key": lambda me: _basic(f"{me.key}\0:{me.secret}"),
    "the bearer scheme": lambda me: me.basic.replace("Basic", "Bearer"),
    "another scheme": lambda me: me.basic.replace("Basic", "Digest"),
    "a credential too long to be one": lambda me: _basic(f"{me.key}:{me.secret}{'x' * 2000}"),
}


async def test_who_is_not_known_is_told_401_and_how_to_say_who_they_are(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    before = await contents(both_worlds)
    body = {"order": both_worlds.uri(order), "reason": "r"}
    told = {}
    for what, value_for in _NOT_WHO.items():
        value = value_for(me)
        headers = {} if value is None else {"Authorization": value}
        answer = await both_worlds.http.post("/ordercancellation/", json=body, headers=headers)
        told[what] = (*kind(answer), answer.headers.get("www-authenticate", "nothing").split()[0])
        assert me.secret not in answer.text
    tried = {what: "Bearer" if what == "the bearer scheme" else "Basic" for what in _NOT_WHO}
    assert told == {what: (401, "UNAUTHORIZED", scheme) for what, scheme in tried.items()}
    assert not changed(before, await contents(both_worlds))


async def test_the_credential_sent_twice_is_none(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    before = await contents(both_worlds)
    twice = [("Authorization", me.basic), ("Authorization", me.basic)]
    body = {"order": both_worlds.uri(order), "reason": "r"}
    _is_unauthorized(await both_worlds.http.post("/ordercancellation/", json=body, headers=twice))
    assert not changed(before, await contents(both_worlds))


async def test_a_secret_may_have_any_text_colons_too(both_worlds: World):
    for secret in ["with:colons:inside:", "pässwörd→✓", "with spaces  inside "]:
        me = await _with_secret(both_worlds, secret)
        order = await both_worlds.ticket_order(me)
        wrong = Caller(me.client, me.key, secret[:-1])
        _is_unauthorized(await cancel(both_worlds, wrong, both_worlds.uri(order)))
        assert (await cancel(both_worlds, me, both_worlds.uri(order))).status_code == 200


async def test_the_scheme_is_read_whatever_its_case_and_the_space_after_it(both_worlds: World):
    me = await both_worlds.shopping_client()
    for scheme in ["basic", "BASIC", "Basic  "]:
        order = await both_worlds.ticket_order(me)
        headers = {"Authorization": me.basic.replace("Basic", scheme)}
        body = {"order": both_worlds.uri(order), "reason": "r"}
        assert (await both_worlds.http.post("/ordercancellation/", json=body, headers=headers)).status_code == 200


async def test_a_key_of_the_management_api_opens_no_other_door(both_worlds: World):
    operator = await both_worlds.manage_client()
    _is_unauthorized(await cancel(both_worlds, operator, _UNKNOWN))


async def test_a_revoked_application_is_not_known(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    await both_worlds.database.clients.revoke(me.client.id, both_worlds.clock())
    _is_unauthorized(await cancel(both_worlds, me, both_worlds.uri(order)))
    assert await both_worlds.rows("cancellations") == []


# The order of checks (shopping decision 7). Each request is wrong in its own way and in all the later ones.


async def test_the_method_is_checked_before_the_credential(both_worlds: World):
    assert kind(await both_worlds.http.put("/ordercancellation/", content=b"{")) == (405, "METHOD_NOT_ALLOWED")


async def test_the_credential_is_checked_before_the_body_and_the_order(both_worlds: World):
    answer = await both_worlds.http.post("/ordercancellation/", content=b"{")
    assert kind(answer) == (401, "UNAUTHORIZED")


async def test_the_permission_is_checked_before_the_body(both_worlds: World):
    me = await both_worlds.shopping_client(permissions=EVERYTHING - {Permission.CANCEL})
    for body in [b"{", b"", b'{"order": 1}']:
        headers = both_worlds.shopping_headers(me)
        answer = await both_worlds.http.post("/ordercancellation/", content=body, headers=headers)
        assert kind(answer) == (403, "FORBIDDEN")


async def test_without_the_permission_even_ones_own_order_stays_and_nothing_is_recorded(both_worlds: World):
    me = await both_worlds.shopping_client(permissions=EVERYTHING - {Permission.CANCEL})
    order = await both_worlds.ticket_order(me)
    before = await contents(both_worlds)
    assert kind(await cancel(both_worlds, me, both_worlds.uri(order))) == (403, "FORBIDDEN")
    assert not changed(before, await contents(both_worlds))


async def test_without_the_permission_a_known_and_an_unknown_order_are_refused_alike(both_worlds: World):
    me = await both_worlds.shopping_client(permissions=frozenset({Permission.READ}))
    order = await both_worlds.ticket_order(await both_worlds.shopping_client())
    known = await cancel(both_worlds, me, both_worlds.uri(order))
    assert kind(known) == (403, "FORBIDDEN")
    assert known.content == (await cancel(both_worlds, me, _UNKNOWN)).content


async def test_the_body_is_checked_before_the_order_is_looked_for(both_worlds: World):
    me = await both_worlds.shopping_client()
    assert kind(await cancel(both_worlds, me, _UNKNOWN, reason="")) == (400, "BAD_REQUEST")


async def test_the_order_is_looked_for_before_its_state_is_told(both_worlds: World):
    me, other = await both_worlds.shopping_client(), await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(other)
    assert (await cancel(both_worlds, other, both_worlds.uri(order))).status_code == 200
    assert kind(await cancel(both_worlds, me, both_worlds.uri(order))) == (404, "NOT_FOUND")


async def test_already_cancelled_is_said_before_paid(both_worlds: World):
    me = await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(me)
    assert (await cancel(both_worlds, me, both_worlds.uri(order))).status_code == 200
    await both_worlds.pay(order.order.id)
    assert kind(await cancel(both_worlds, me, both_worlds.uri(order))) == (409, "ORDER_ALREADY_CANCELED")


async def test_an_unknown_order_and_another_clients_are_answered_alike_and_leave_nothing(both_worlds: World):
    me, other = await both_worlds.shopping_client(), await both_worlds.shopping_client()
    order = await both_worlds.ticket_order(other)
    before = await contents(both_worlds)
    unknown = await cancel(both_worlds, me, _UNKNOWN)
    foreign = await cancel(both_worlds, me, both_worlds.uri(order))
    assert kind(unknown) == (404, "NOT_FOUND")
    assert unknown.headers.pop("x-request-id") != foreign.headers.pop("x-request-id")
    assert (unknown.headers, unknown.content) == (foreign.headers, foreign.content)
    assert not changed(before, await contents(both_worlds))


def _is_unauthorized(answer: httpx.Response) -> None:
    assert kind(answer) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"].startswith("Basic")


async def _with_secret(world: World, secret: str) -> Caller:
    key = secrets.token_hex(8)
    client = await world.database.clients.add(
        channel=SHOPPING.channel,
        name="chosen secret",
        permissions=EVERYTHING,
        key=key,
        secret_sha256=hash_of(secret),
        identity=None,
        now=world.clock(),
    )
    return Caller(client, key, secret)
