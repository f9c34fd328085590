"""`countermand demo --env` and `countermand demo ids`: what a shell and a test get from a running demo."""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from countermand.demo.fresh_ids import KINDS
from support.command_line import Run, assert_one_sentence, runner
from support.demo_orders import cancel_service_order, cancel_ticket_order, is_cancelled
from support.processes import Demo, a_demo

# What a cancellation of a fresh order of the kind is answered with.
SERVICE_ORDERS = {
    "cancellable": (200, ""),
    "appointment_in_25h": (422, "appointment_within_notice"),
    "appointment_in_30h": (200, ""),
    "activated": (422, "order_not_cancellable"),
    "others": (404, "not_found"),
}
TICKET_ORDERS = {
    "cancellable": ("", 200),
    "paid": ("", 403),
    "others": ("", 404),
    "no_permission": ("no_permission_", 403),
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("shared") / "it's a demo") as running:
        yield running


def ids(run: Run, demo: Demo, kind: str, *more: str) -> list[str]:
    said = run("demo", "ids", kind, "--data-dir", str(demo.folder), *more)
    assert (said.code, said.err) == (0, "")
    return said.out.splitlines()


def listed(demo: Demo) -> set[str]:
    """All ids that demo.json lists."""
    made = demo.json
    orders = [one for contract in ("connect", "shopping") for kind in made[contract]["orders"].values() for one in kind]
    return {str(one) for one in [*orders, *made["shopping"]["products"].values()]}


# ids


def test_there_is_a_kind_for_each_list_of_demo_json(run: Run, shared: Demo):
    made = shared.json
    kinds = [f"{contract}.{kind}" for contract in ("connect", "shopping") for kind in made[contract]["orders"]]
    kinds += [f"product.{name}" for name in made["shopping"]["products"]]
    assert list(KINDS) == kinds
    assert run("demo", "ids").out.splitlines() == kinds


@pytest.mark.parametrize("kind", KINDS)
def test_each_id_is_handed_out_once_and_demo_json_does_not_have_it(kind: str, run: Run, shared: Demo):
    before = shared.json
    first, second = ids(run, shared, kind, "-n", "3"), ids(run, shared, kind)
    assert (len(first), len(second)) == (3, 1)
    assert len({*first, *second} - listed(shared)) == 4
    assert shared.json == before


@pytest.mark.parametrize(("kind", "promise"), SERVICE_ORDERS.items(), ids=SERVICE_ORDERS)
def test_a_service_order_is_what_its_kind_says(kind: str, promise: tuple[int, str], run: Run, shared: Demo):
    order_id = int(*ids(run, shared, f"connect.{kind}"))
    with shared.client() as http:
        reply = cancel_service_order(http, shared, order_id)
        code = reply.json()["errors"][0]["code"] if reply.content else ""
        assert (reply.status_code, code) == promise
        assert is_cancelled(shared, order_id) is (reply.status_code == 200)
        if kind == "others":
            assert cancel_service_order(http, shared, order_id, "other_access_token").status_code == 200


@pytest.mark.parametrize(("kind", "promise"), TICKET_ORDERS.items(), ids=TICKET_ORDERS)
def test_a_ticket_order_is_what_its_kind_says(kind: str, promise: tuple[str, int], run: Run, shared: Demo):
    caller, status = promise
    (uri,) = ids(run, shared, f"shopping.{kind}")
    with shared.client() as http:
        assert cancel_ticket_order(http, shared, uri, caller).status_code == status
        if kind == "others":
            assert cancel_ticket_order(http, shared, uri, "other_").status_code == 200


@pytest.mark.parametrize("name", ["paid", "free", "sold_out", "combo"])
def test_a_product_is_like_the_demos_own_and_has_a_stock_of_its_own(name: str, run: Run, shared: Demo):
    shopping = shared.json["shopping"]
    (uri,) = ids(run, shared, f"product.{name}")
    with shared.client(auth=(shopping["key"], shopping["secret"])) as http:
        own, fresh = http.get(shopping["products"][name]).json(), http.get(uri).json()
        assert (fresh["name"], fresh["price"]) == (own["name"], own["price"])
        assert fresh["sold_out"] is (name == "sold_out")
        assert fresh["combo"] == own["combo"]
        if name == "free":
            order = {
                "products": [{"product": uri, "quantity": 2}],
                "consumer": {"first_name": "Jo", "last_name": "Visitor", "email": "jo@example.com", "country": "NL"},
            }
            assert http.post("/orders", json=order).status_code == 201
            assert fresh["availability"] - http.get(uri).json()["availability"] == 2
            assert http.get(shopping["products"][name]).json()["availability"] == own["availability"]


def test_an_unknown_kind_is_named_with_the_kinds_there_are_and_nothing_is_made(run: Run, shared: Demo):
    assert_one_sentence(run("demo", "ids", "orders", "--data-dir", str(shared.folder)), "'orders'", *KINDS)


@pytest.mark.parametrize("count", ["0", "-1", "1001", "many"])
def test_a_number_of_ids_that_is_out_of_range_is_refused(count: str, run: Run, shared: Demo):
    said = run("demo", "ids", "connect.cancellable", "-n", count, "--data-dir", str(shared.folder))
    assert (said.code, said.out) == (2, "")
    assert "-n" in said.err


# variables


def evaluated(shell: str, demo: Demo, lines: str = "") -> dict[str, str]:
    """The variables of a shell that evaluates what --env prints."""
    countermand = Path(sys.executable).with_name("countermand")
    program = f'eval "$("$0" demo --env --data-dir "$1")"\n{lines}\nenv -0'
    found = shutil.which(shell)
    assert found
    done = subprocess.run(
        [found, "-c", program, str(countermand), str(demo.folder)],
        env={"PATH": "/usr/bin:/bin", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return dict(one.split("=", 1) for one in done.stdout.split("\0") if one)


@pytest.mark.parametrize("shell", ["bash", pytest.param("zsh", marks=pytest.mark.needs("zsh"))])
def test_a_shell_gets_addresses_credentials_and_an_id_of_each_kind(shell: str, shared: Demo):
    made, seen = shared.json, evaluated(shell, shared)
    url = shared.base_url
    assert [seen[name] for name in ("DEMO_URL", "CONNECT_URL", "SHOPPING_URL", "MANAGE_URL")] == [
        url,
        f"{url}/api/connect",
        url,
        f"{url}/manage/v1",
    ]
    assert seen["CONNECT_TOKEN"] == made["connect"]["access_token"]
    assert (seen["SHOPPING_KEY"], seen["SHOPPING_SECRET"]) == (made["shopping"]["key"], made["shopping"]["secret"])
    assert seen["MANAGE_TOKEN"] == made["manage"]["token"]
    for channel in ("CONNECT", "SHOPPING", "MANAGE"):
        assert Path(seen[f"{channel}_HEADERS"]).read_text().startswith("Authorization: ")
    texts = {
        value
        for contract in ("connect", "shopping", "manage")
        for value in made[contract].values()
        if isinstance(value, str)
    }
    assert texts - set(seen.values()) == set()
    assert {f"{kind.replace('.', '_order_')}".upper() for kind in KINDS if "product" not in kind} <= set(seen)
    assert {f"SHOPPING_PRODUCT_{name}".upper() for name in made["shopping"]["products"]} <= set(seen)
    with shared.client(headers=shared.connect_headers()) as http:
        cancelled = http.post("/api/connect/orders/cancel", json={"orderId": int(seen["CONNECT_ORDER_CANCELLABLE"])})
        assert cancelled.status_code == 200


def test_a_second_evaluation_gives_other_orders_because_the_first_may_be_cancelled(run: Run, shared: Demo):
    first, second = (run("demo", "--env", "--data-dir", str(shared.folder)).out for _ in range(2))
    orders = re.compile(r"_ORDER_\w+=(\S+)")
    assert set(orders.findall(first)) & set(orders.findall(second)) == set()


def test_after_that_the_shell_finds_the_program_and_the_program_finds_the_demo(shared: Demo, tmp_path: Path):
    seen = evaluated("bash", shared, f"cd {tmp_path}\nexport MADE=$(countermand demo ids connect.cancellable)")
    with shared.client() as http:
        assert cancel_service_order(http, shared, int(seen["MADE"])).status_code == 200


@pytest.mark.parametrize("option", [("--fresh",), ("--port", "8080"), ("--host", "127.0.0.1")], ids=" ".join)
def test_what_only_a_start_can_obey_is_refused(option: tuple[str, ...], run: Run, shared: Demo):
    before = shared.json
    assert_one_sentence(run("demo", "--env", "--data-dir", str(shared.folder), *option), option[0])
    assert shared.json == before


# no demo


ASKING = [("demo", "--env"), ("demo", "ids", "connect.cancellable")]


@pytest.mark.parametrize("asking", ASKING, ids=" ".join)
def test_where_no_demo_was_made_yet_the_way_to_start_it_is_said(
    asking: tuple[str, ...], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(run(*asking), ".countermand has no demo yet", "`make run`", "add --data-dir")
    assert_one_sentence(
        run(*asking, "--data-dir", "elsewhere"), "elsewhere has no demo yet", "`make run DATA=elsewhere`"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("asking", ASKING, ids=" ".join)
def test_a_demo_that_does_not_run_or_whose_port_another_service_has_is_told(
    asking: tuple[str, ...], run: Run, shared: Demo, tmp_path: Path
):
    folder = shutil.copytree(shared.folder, tmp_path / "copy", ignore=lambda *_: ["countermand.sqlite3-shm"])
    made = json.loads((folder / "demo.json").read_text())
    made["manage"]["token"] += "x"
    (folder / "demo.json").write_text(json.dumps(made))
    assert_one_sentence(run(*asking, "--data-dir", str(folder)), str(folder), "another service", made["base_url"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made["base_url"] = f"http://127.0.0.1:{taken.getsockname()[1]}"
    (folder / "demo.json").write_text(json.dumps(made))
    assert_one_sentence(run(*asking, "--data-dir", str(folder)), str(folder), "not running", made["base_url"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"base_url": "http://127.0.0.1:1"}', "\xff"])
def test_a_demo_json_that_is_none_is_one_sentence(text: str, run: Run, tmp_path: Path):
    (tmp_path / "demo.json").write_text(text, encoding="latin-1")
    assert_one_sentence(run("demo", "--env", "--data-dir", str(tmp_path)), str(tmp_path / "demo.json"))


def test_a_token_that_has_expired_is_told(run: Run, shared: Demo, tmp_path: Path):
    made = shared.json
    made["connect"]["access_token"] = made["connect"]["expired_access_token"]
    (tmp_path / "demo.json").write_text(json.dumps(made))
    said = run("demo", "ids", "connect.cancellable", "--data-dir", str(tmp_path))
    assert_one_sentence(said, "expired", "start it again")
