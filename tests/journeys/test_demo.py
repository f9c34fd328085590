"""`countermand demo` from outside: what it makes, what it keeps, and what it tops up."""

import json
import re
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jws

from countermand.delivery.secret_box import keys_of
from support.demo_orders import cancel_service_order, cancel_ticket_order, is_cancelled
from support.processes import START_LIMIT_S, Demo, a_demo, countermand
from support.serving import free_port

SECRET_FILES = (
    "demo.json",
    "demo-secrets.json",
    "demo-partner.pem",
    "demo-other-partner.pem",
    "connect.headers",
    "shopping.headers",
    "manage.headers",
    "webhook.key",
)
SHAPE: dict[str, Any] = {
    "base_url": str,
    "connect": {
        "token_url": str,
        "client_id": str,
        "key_id": str,
        "private_key_file": str,
        "access_token": str,
        "other_access_token": str,
        "expired_access_token": str,
        "orders": {
            "cancellable": (int, 30),
            "appointment_in_25h": (int, 3),
            "appointment_in_30h": (int, 3),
            "activated": (int, 3),
            "others": (int, 3),
        },
    },
    "shopping": {
        "key": str,
        "secret": str,
        "other_key": str,
        "other_secret": str,
        "no_permission_key": str,
        "no_permission_secret": str,
        "bearer_token": str,
        "event": str,
        "products": {"paid": str, "free": str, "sold_out": str, "combo": str},
        "orders": {"cancellable": (str, 30), "paid": (str, 3), "others": (str, 3), "no_permission": (str, 3)},
    },
    "manage": {"token": str, "author_token": str, "approver_token": str, "viewer_token": str},
}


PRODUCT_KINDS = ("paid", "free", "sold_out", "combo")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for the tests that each take orders of their own kind from it."""
    with a_demo(tmp_path_factory.mktemp("shared") / "demo") as running:
        yield running


# what it makes


def test_demo_json_has_every_part_and_enough_of_each_kind(shared: Demo):
    made = shared.json
    assert_shape(made, SHAPE)
    assert made["base_url"] == shared.base_url
    uris = [uri for kind in made["shopping"]["orders"].values() for uri in kind]
    assert all(uri.startswith(f"{shared.base_url}/orders/") for uri in uris)
    ids = [one for kind in made["connect"]["orders"].values() for one in kind]
    assert len(set(ids)) == len(ids)
    assert len(set(uris)) == len(uris)


def test_what_is_secret_is_readable_by_its_owner_alone_and_nothing_is_left_half_written(shared: Demo):
    modes = {name: stat.S_IMODE((shared.folder / name).stat().st_mode) for name in SECRET_FILES}
    assert modes == dict.fromkeys(SECRET_FILES, 0o600)
    database = {f"countermand.sqlite3{end}" for end in ("", "-wal", "-shm", "-serving")}
    assert {one.name for one in shared.folder.iterdir()} <= {*SECRET_FILES, *database}


def test_the_database_holds_no_secret_only_its_hash(shared: Demo):
    secrets = [shared.json["shopping"][name] for name in ("secret", "other_secret", "no_permission_secret")]
    secrets += [token.partition(".")[2] for token in shared.json["manage"].values()]
    with closing(sqlite3.connect(shared.database)) as connection:
        kept = "\n".join(connection.iterdump())
    assert shared.json["shopping"]["key"] in kept
    assert [secret for secret in secrets if secret in kept] == []


def test_tokens_live_a_day_and_name_the_published_key_but_the_expired_one_has_run_out(shared: Demo):
    with shared.client() as http:
        (key,) = http.get("/auth/realms/superloop/protocol/openid-connect/certs").json()["keys"]
    now = datetime.now(UTC)
    for name, has_expired in {"access_token": False, "other_access_token": False, "expired_access_token": True}.items():
        token = jws.extract_compact(shared.json["connect"][name].encode())
        claims = json.loads(token.payload)
        assert token.headers() == {"alg": "RS256", "typ": "JWT", "kid": key["kid"]}
        assert claims["exp"] - claims["iat"] == 24 * 3600
        assert (datetime.fromtimestamp(claims["exp"], UTC) < now) is has_expired


# its orders are in the state they are named for


SERVICE_ORDERS: dict[str, tuple[str, int, str]] = {
    "cancellable": ("access_token", 200, ""),
    "appointment_in_25h": ("access_token", 422, "appointment_within_notice"),
    "appointment_in_30h": ("access_token", 200, ""),
    "activated": ("access_token", 422, "order_not_cancellable"),
    "others": ("access_token", 404, "not_found"),
}


@pytest.mark.parametrize(("kind", "promise"), SERVICE_ORDERS.items(), ids=SERVICE_ORDERS)
def test_service_orders_of_a_kind_are_answered_as_the_kind_promises(
    kind: str, promise: tuple[str, int, str], shared: Demo
):
    token, status, code = promise
    with shared.client() as http:
        for order_id in shared.json["connect"]["orders"][kind]:
            reply = cancel_service_order(http, shared, order_id, token)
            said = reply.json()["errors"] if reply.content else [{"code": ""}]
            assert (reply.status_code, [one["code"] for one in said]) == (status, [code])
            assert is_cancelled(shared, order_id) is (status == 200)
            if kind == "others":
                assert cancel_service_order(http, shared, order_id, "other_access_token").status_code == 200


TICKET_ORDERS: dict[str, tuple[str, int, str]] = {
    "cancellable": ("", 200, ""),
    "paid": ("", 403, "FORBIDDEN"),
    "others": ("", 404, "NOT_FOUND"),
    "no_permission": ("no_permission_", 403, "FORBIDDEN"),
}


@pytest.mark.parametrize(("kind", "promise"), TICKET_ORDERS.items(), ids=TICKET_ORDERS)
def test_ticket_orders_of_a_kind_are_answered_as_the_kind_promises(
    kind: str, promise: tuple[str, int, str], shared: Demo
):
    caller, status, error = promise
    with shared.client() as http:
        for uri in shared.json["shopping"]["orders"][kind]:
            reply = cancel_ticket_order(http, shared, uri, caller)
            assert (reply.status_code, reply.json().get("type", "")) == (status, error)
            own = (shared.json["shopping"][f"{caller}key"], shared.json["shopping"][f"{caller}secret"])
            if kind == "others":
                assert cancel_ticket_order(http, shared, uri, "other_").status_code == 200
            else:
                assert (http.get(uri, auth=own).json()["status"] == "cancelled") is (status == 200)


def test_an_expired_token_is_refused(shared: Demo):
    order_id = shared.json["connect"]["orders"]["appointment_in_30h"][0]
    with shared.client() as http:
        reply = cancel_service_order(http, shared, order_id, "expired_access_token")
    expired = 'Bearer error="invalid_token", error_description="the bearer token has expired: exp passed '
    assert reply.status_code == 401
    assert re.fullmatch(rf'{expired}\d+ s ago by the clock of this server"', reply.headers["www-authenticate"])


def test_the_management_token_reads_every_order_with_its_appointment_as_named(shared: Demo):
    made = shared.json
    with shared.client(headers=shared.manage_headers()) as http:
        for hours, kind in {25: "appointment_in_25h", 30: "appointment_in_30h"}.items():
            for order_id in made["connect"]["orders"][kind]:
                (visit,) = http.get(f"/manage/v1/orders/connect-{order_id}").json()["appointments"]
                lies_ahead = datetime.fromisoformat(visit["starts_at"]) - datetime.now(UTC)
                assert timedelta(hours=hours, minutes=-10) < lies_ahead <= timedelta(hours=hours)


def test_its_catalogue_has_a_product_of_each_kind_and_each_is_what_it_is_named_for(shared: Demo):
    made = shared.json["shopping"]
    with shared.client(auth=(made["key"], made["secret"])) as http:
        event = http.get(made["event"]).json()
        paid, free, sold_out, combo = (http.get(made["products"][name]).json() for name in PRODUCT_KINDS)
        listed = http.get(event["_links"]["shop:products"]["href"]).json()
    assert event["_links"]["self"]["href"] == made["event"]
    assert (paid["price"]["amount"] > 0, paid["availability"] > 100, paid["sold_out"]) == (True, True, False)
    assert (free["price"]["amount"], free["sold_out"]) == (0, False)
    assert (sold_out["availability"], sold_out["sold_out"]) == (0, True)
    assert sold_out["total_availability"] > 0
    assert made["products"]["paid"] in combo["combo"]
    assert combo["_links"]["self"]["href"] in paid["parents"]
    uris = {one["_links"]["self"]["href"] for one in listed["_embedded"]["shop:product"]}
    assert set(made["products"].values()) < uris
    assert listed["item_count"] == len(uris)


# every start


def test_the_next_start_keeps_ids_and_secrets_tops_up_what_was_used_and_adds_fresh_appointments(tmp_path: Path):
    with a_demo(tmp_path / "demo") as first:
        before = first.json
        used = before["connect"]["orders"]["cancellable"]
        used_uris = [uri.rpartition("/")[2] for uri in before["shopping"]["orders"]["cancellable"]]
        with first.client() as http:
            assert {cancel_service_order(http, first, one).status_code for one in used[5:]} == {200}
            for uri in before["shopping"]["orders"]["cancellable"][5:]:
                assert cancel_ticket_order(http, first, uri).status_code == 200
        assert first.stop() == 0
    kept = {name: (first.folder / name).read_text() for name in ("demo-secrets.json", "demo-partner.pem")}
    with a_demo(tmp_path / "demo", port=int(before["base_url"].rpartition(":")[2])) as second:
        after = second.json
        assert_shape(after, SHAPE)
        assert {name: (second.folder / name).read_text() for name in kept} == kept
        secrets = [name for name in before["shopping"] if name.endswith(("key", "secret"))]
        assert [after["shopping"][name] for name in secrets] == [before["shopping"][name] for name in secrets]
        assert after["manage"] == before["manage"]

        orders = after["connect"]["orders"]
        assert set(used[:5]) <= set(orders["cancellable"])
        assert not set(used[5:]) & set(orders["cancellable"])
        for kind in ("activated", "others"):
            assert set(before["connect"]["orders"][kind]) <= set(orders[kind])
        for kind in ("appointment_in_25h", "appointment_in_30h"):
            assert not set(before["connect"]["orders"][kind]) & set(orders[kind])
        uids = {uri.rpartition("/")[2] for uri in after["shopping"]["orders"]["cancellable"]}
        assert set(used_uris[:5]) <= uids
        assert not set(used_uris[5:]) & uids

        # A token of the day before still counts: the signing key, the address and the clients are the same.
        headers = second.connect_headers() | {"Authorization": f"Bearer {before['connect']['access_token']}"}
        with second.client() as http:
            reply = http.post("/api/connect/orders/cancel", json={"orderId": used[0]}, headers=headers)
            assert reply.status_code == 200
    with closing(sqlite3.connect(second.database)) as connection:
        assert connection.execute("SELECT count(*) FROM clients").fetchone() == (6,)


@pytest.mark.slow
def test_whenever_readyz_says_200_demo_json_is_there_and_whole_and_of_this_start(tmp_path: Path):
    folder = tmp_path / "demo"
    for _ in range(2):  # the second start finds the first one's demo.json, with another port and older tokens
        port = free_port()
        process = countermand("demo", "--data-dir", str(folder), "--port", str(port))
        try:
            made = first_ready(port, folder)
            assert_shape(made, SHAPE)
            assert made["base_url"] == f"http://127.0.0.1:{port}"
            order_id = made["connect"]["orders"]["cancellable"][0]
            headers = {"Authorization": f"Bearer {made['connect']['access_token']}", "X-API-VERSION": "7"}
            url = f"{made['base_url']}/api/connect/orders/cancel"
            assert httpx.post(url, json={"orderId": order_id}, headers=headers, trust_env=False).status_code == 200
            assert process.poll() is None
        finally:
            process.terminate()
            process.communicate(timeout=120)


def test_fresh_removes_what_the_demo_made_and_nothing_else(tmp_path: Path):
    folder = tmp_path / "demo"
    strangers = {folder / "notes.txt": "mine", folder / "sub" / "demo.json": "mine", folder / "demo.json.bak": "mine"}
    with a_demo(folder) as first:
        before = first.json
        key = folder / "webhook.key"
        key_before = key.read_text()
        assert key.stat().st_mode & 0o777 == 0o600
        first.stop()
    for file, text in strangers.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    with a_demo(folder, "--fresh") as second:
        after = second.json
        assert_shape(after, SHAPE)
        secrets = [name for name in before["shopping"] if name.endswith(("key", "secret"))]
        assert all(after["shopping"][name] != before["shopping"][name] for name in secrets)
        assert after["manage"] != before["manage"]
        assert len(keys_of(key.read_text())) == len(keys_of(key_before)) == 1
        assert key.read_text() != key_before
        assert after["connect"]["key_id"] != before["connect"]["key_id"]
        with second.client(headers=second.connect_headers()) as http:
            stale = {"Authorization": f"Bearer {before['connect']['access_token']}"}
            order = {"orderId": after["connect"]["orders"]["cancellable"][0]}
            assert http.post("/api/connect/orders/cancel", json=order, headers=stale).status_code == 401
            assert http.post("/api/connect/orders/cancel", json=order).status_code == 200
    assert {file: file.read_text() for file in strangers} == strangers
    with closing(sqlite3.connect(second.database)) as connection:
        assert connection.execute("SELECT count(*) FROM cancellations WHERE door = 'connect'").fetchone() == (1,)


def first_ready(port: int, folder: Path) -> Any:
    """Poll from outside until `/readyz` says 200; what demo.json says then. Before, it is whole or not there."""
    ends_at = time.monotonic() + START_LIMIT_S
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as http:
        while time.monotonic() < ends_at:
            try:
                if http.get("/readyz").status_code == 200:
                    return json.loads((folder / "demo.json").read_text())
            except httpx.HTTPError:
                pass
            if (folder / "demo.json").exists():
                json.loads((folder / "demo.json").read_text())
            time.sleep(0.02)
    raise AssertionError("it did not become ready")


def assert_shape(value: Any, shape: Any) -> None:
    match shape:
        case dict():
            assert list(value) == list(shape)
            for name, inner in shape.items():
                assert_shape(value[name], inner)
        case (kind, at_least):
            assert len(value) >= at_least
            assert {type(one) for one in value} == {kind}
        case _:
            assert isinstance(value, shape)
            assert value
