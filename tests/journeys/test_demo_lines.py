"""A demo's line for each request, what its pages in a browser may call, and that a folder has one demo at a time."""

import io
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from countermand.demo.request_lines import line_for_people, lines_for_people
from countermand.telemetry.request_lines import RequestLine
from support.demo_orders import cancel_service_order, cancel_ticket_order
from support.processes import Demo, a_demo, forked

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LINE = RequestLine(NOON, "info", "request", "r-1", "POST", "/api/connect/orders/cancel", 200, "cancelled", 2.345)
CANCEL = "/api/connect/orders/cancel"
COLUMNS = re.compile(
    r"\d\d:\d\d:\d\d  (?P<method>[A-Z]+) +(?P<path>\S+) +"
    r"(?P<status>\d{3}) (?P<outcome>\w+) +\d+\.\d ms(  (?P<why>.+))?"
)


def line(**changed: object) -> str:
    fields = {name: getattr(LINE, name) for name in LINE.__struct_fields__} | changed
    return line_for_people(RequestLine(**fields), coloured=False)


# the line


def test_the_columns_stand_below_each_other_and_the_reason_of_a_refusal_at_the_end():
    lines = [
        line(order="100042", client=7),
        line(status=422, outcome="refused", code="order_not_cancellable,nothing_paid", order="7"),
        line(method="GET", route="/status", outcome="done", duration_ms=12345.6),
        line(method="GET", route="/orders/{uid}", status=401, outcome="unauthorized", duration_ms=0.04),
    ]
    assert {one.index(" ms") for one in lines} == {80}
    assert lines[0][8:] == f"  POST   {CANCEL:<36} 200 cancelled          2.3 ms  order 100042\n"
    assert lines[1].endswith(" ms  order 7: order_not_cancellable, nothing_paid\n")
    assert lines[3][8:] == f"  GET    {'/orders/{uid}':<36} 401 unauthorized       0.0 ms\n"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/nowhere/\x1b[31m\n", "/nowhere/?[31m?"),
        ("/caf\xe9%20", "/caf?%20"),
        ("/eticket/" + "s3cret" * 6, "/eticket/s3cr..."),
        ("/" + "a/" * 100, "/" + "a/" * 38 + "..."),
        ("/{a_parameter_with_a_very_long_name}", "/{a_parameter_with_a_very_long_name}"),
    ],
)
def test_a_path_that_a_caller_made_up_neither_tells_a_secret_nor_moves_a_cursor(path: str, shown: str):
    assert line(route=path).split()[2] == shown


@pytest.mark.parametrize(("status", "colour"), [(200, "32"), (422, "33"), (500, "31")])
def test_a_terminal_gets_a_colour_for_each_class_of_status_unless_it_wants_none(
    status: int, colour: str, monkeypatch: pytest.MonkeyPatch
):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    one = RequestLine(NOON, "info", "request", "r-1", "GET", "/", status, "done", 1.0)
    plain = line_for_people(one, coloured=False)
    assert "\x1b" not in plain
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr", Terminal())
    coloured = lines_for_people()([one])
    assert re.search(rf"\x1b\[{colour}m{status} done +\x1b\[0m", coloured)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert lines_for_people()([one]) == plain
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert lines_for_people()([one]) == plain


# a demo


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    with a_demo(tmp_path / "demo", with_lines=True) as running:
        yield running


def test_each_request_has_a_line_and_none_has_a_secret(demo: Demo):
    made = demo.json
    (mine, *_), (bought, *_) = made["connect"]["orders"]["cancellable"], made["shopping"]["orders"]["cancellable"]
    uid = bought.rpartition("/")[2]
    with demo.client() as http:
        for _ in range(2):
            cancel_service_order(http, demo, mine)
        cancel_ticket_order(http, demo, bought)
        http.get(f"/orders/{uid}")
        http.get("/no/such/path?token=s3cret")
        http.get(CANCEL)
        http.post("/ordercancellation/", content=b"{", auth=(made["shopping"]["key"], made["shopping"]["secret"]))
        http.get("/healthz")
    told = lines_of(demo)
    found = [COLUMNS.fullmatch(one) for one in told]
    assert None not in found, told
    rows = [tuple(one.group("method", "path", "status", "outcome")) for one in found if one]
    assert rows == [
        ("POST", CANCEL, "200", "cancelled"),
        ("POST", CANCEL, "422", "refused"),
        ("POST", "/ordercancellation/", "200", "cancelled"),
        ("GET", "/orders/{uid}", "401", "unauthorized"),
        ("GET", "/no/such/path", "404", "not_found"),
        ("GET", CANCEL, "405", "invalid"),
        ("POST", "/ordercancellation/", "400", "invalid"),
    ]
    assert [one["why"] for one in found if one][:2] == [
        f"order connect-{mine}",
        f"order connect-{mine}: order_not_cancellable",
    ]
    assert "s3cret" not in "".join(told)
    assert made["shopping"]["secret"] not in "".join(told)
    assert "\x1b" not in "".join(told)


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        ({"COUNTERMAND_LOG_LEVEL": "warning"}, []),
        ({"COUNTERMAND_LOG_LEVEL": "debug"}, ["/healthz", "/nowhere"]),
        ({"COUNTERMAND_LOG_REQUESTS": "false"}, []),
    ],
)
def test_the_settings_of_the_log_count_in_a_demo(settings: dict[str, str], paths: list[str], tmp_path: Path):
    with a_demo(tmp_path / "demo", environment=settings, with_lines=True) as running:
        with running.client() as http:
            for path in ("/healthz", "/nowhere"):
                http.get(path)
        assert [one.split()[2] for one in lines_of(running)] == paths


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("shared") / "demo", with_lines=True) as running:
        yield running


HERE = [
    "http://localhost:3000",
    "http://localhost",
    "https://localhost:8443",
    "http://127.0.0.1:5173",
    "http://[::1]:80",
]
ELSEWHERE = [
    "https://shop.example",
    "http://localhost.example:3000",
    "http://localhost:3000.example",
    "http://127.0.0.1.example",
    "http://xlocalhost:3000",
    "http://127.0.0.2:3000",
    "null",
]


@pytest.mark.parametrize(("origin", "may_call"), [*((one, True) for one in HERE), *((one, False) for one in ELSEWHERE)])
def test_pages_of_this_machine_may_call_the_shop_and_nobody_elses(origin: str, *, may_call: bool, shared: Demo):
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    with shared.client() as http:
        asked = http.options("/orders", headers=asks)
        read = http.get("/status", headers={"Origin": origin})
        cancel = http.options("/ordercancellation/", headers=asks)
        operators = http.options("/manage/v1/clients", headers=asks)
    allowed = origin if may_call else None
    assert asked.headers.get("access-control-allow-origin") == allowed
    assert read.headers.get("access-control-allow-origin") == allowed
    for other in (cancel, operators):
        assert "access-control-allow-origin" not in other.headers


def test_a_second_demo_in_the_same_folder_is_refused_and_takes_nothing_away(shared: Demo):
    before = shared.json
    process = forked("demo", "--data-dir", str(shared.folder), "--port", "0", "--fresh")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert re.search(r"countermand\.sqlite3 is served by process \d+ on \S+ already", err)
    assert err.count("\n") == 1
    assert shared.json == before
    with closing(sqlite3.connect(shared.database)) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() > (0,)
    with shared.client() as http:
        assert http.get("/readyz").status_code == 200


def test_a_server_is_refused_beside_a_demo_and_commands_are_not(shared: Demo):
    here = {"COUNTERMAND_DATABASE_PATH": str(shared.database)}
    served = forked("serve", "--port", "0", environment=here)
    out, err = served.communicate(timeout=120)
    assert (served.returncode, out) == (2, "")
    assert "an SQLite file has one server" in err
    for arguments in (["migrate"], ["client", "list"], ["client", "add", "--contract", "shopping", "--name", "Me"]):
        process = forked(*arguments, environment=here)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, ""), arguments


def lines_of(demo: Demo) -> list[str]:
    """What a demo said on standard error, after it has stopped."""
    assert demo.stop() == 0
    assert demo.process.stderr is not None
    return demo.process.stderr.read().splitlines()
