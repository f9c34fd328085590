"""Whatever stands in a parameter of a list, the answer is a page, or names the parameter and what is wrong with it."""

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from countermand.contracts.manage import appointments, calls, catalogue, clients, desk_lists, find, orders, staff
from support.world import Caller, World, a_world

_PARTS = (appointments, catalogue, clients, desk_lists, find, orders, staff)
_OPERATIONS = [call.operation for part in _PARTS for call in getattr(part, "CALLS", ())]
LISTS = {
    (one.path, str(parameter["name"]))
    for one in _OPERATIONS
    if one.method == "GET" and "{" not in one.path.replace("{id}", "")
    for parameter in one.parameters
    if parameter["in"] == "query"
}
_NUL, _LONE_SURROGATE, _NO_UTF_8 = b"\0", b"\xed\xa0\x80", b"\xff\xfe"


def a_cursor(*parts: str) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=")


_NUMBERS = st.one_of(
    st.sampled_from([edge + off for edge in (0, 2**31, 2**32, 2**53, 2**63, 2**64) for off in (-1, 0, 1)]),
    st.integers(-(10**30), 10**30),
).map(lambda number: str(number).encode())
_TEXTS = st.one_of(
    st.text(max_size=12).map(str.encode),
    st.sampled_from([_NUL, _LONE_SURROGATE, _NO_UTF_8, b"9" * 5000, b"x" * 5000, "é".encode() * 3000]),
    st.sampled_from([b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59.999999-14:00", b"2026-11-23T01:00:00Z"]),
)
_PIECES = st.one_of(_NUMBERS, _TEXTS)
_JSON_TEXTS = st.one_of(
    st.text(st.characters(), max_size=8),  # with lone surrogates and NUL
    st.sampled_from(["", "e:", "w:jo", "\ud800", "\0", "2026-11-23T01:00:00+00:00", "9" * 30, str(2**63), "1"]),
)
_VALUES = st.one_of(
    _PIECES,
    st.lists(_PIECES, min_size=2, max_size=4).map(b"_".join),
    st.lists(_PIECES, min_size=2, max_size=2).map(b" ".join),
    st.lists(_PIECES, min_size=2, max_size=2).map(b"/".join),
    st.lists(_JSON_TEXTS, min_size=1, max_size=3).map(lambda parts: a_cursor(*parts)),
)


class Service:
    """A running service with an order, and a caller who may read everything. (No dataclass: failures would show it.)"""

    def __init__(self, runner: asyncio.Runner, world: World, caller: Caller, name: str) -> None:
        self.runner, self.world, self.caller, self.name = runner, world, caller, name

    def asked(self, path: str, query: bytes) -> tuple[int, list[str]]:
        """Return the status, and the fields that a 422 names."""
        url = f"{path.replace('{id}', self.name)}?{query.decode()}"
        headers = self.world.manage_headers(self.caller)
        answer = self.runner.run(self.world.http.get(url, headers=headers))
        wrong = answer.json()["errors"] if answer.status_code == 422 else []
        assert all(len(one["message"]) < 1000 for one in wrong)
        return answer.status_code, [one["field"] for one in wrong]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def opened() -> Service:
            world = await stack.enter_async_context(a_world(tmp_path_factory.mktemp("lists"), request.param))
            me, operator = await world.connect_client(), await world.manage_client()
            order_id = await world.service_order(me)
            await world.cancel(me, order_id)
            await world.cancel(me, order_id)
            return Service(runner, world, operator, f"connect-{order_id}")

        try:
            yield runner.run(opened())
        finally:
            runner.run(stack.aclose())


def test_every_list_is_among_them():
    """So that a list that is added is met by the test below."""
    paths = {path for path, _ in LISTS}
    names = ("orders", "cancellations", "refusals", "late-payments", "part-payments", "appointment-tasks", "catalogue")
    assert paths >= {f"{calls.ROOT}/{name}" for name in (*names, "refusals/reasons", "calendar/slots")}


@pytest.mark.parametrize(("path", "name"), sorted(LISTS))
def test_no_value_of_a_parameter_is_more_than_the_service_can_bear(service: Service, path: str, name: str):
    @settings(deadline=None, max_examples=60, database=None, derandomize=True)
    @given(value=_VALUES)
    @example(b"0000000000000000001" + b"9" * 30)
    @example(f"{2**63}_{2**63}_x".encode())
    @example(b"1_1_" + _NUL)
    @example(b"1_1_" + b"x" * 5000)
    @example(a_cursor("\ud800", "\ud800", "1"))
    @example(a_cursor("e:\ud800", "e:\ud800x", "1"))
    @example(a_cursor("0001-01-01T00:00:00+23:59", "1"))
    @example(a_cursor("2026-11-23T01:00:00Z", str(2**63)))
    @example(b"events/" + b"x" * 65)
    @example(b"2026-11-23T01:00:00.000000Z " + _NUL)
    def probe(value: bytes) -> None:
        for others in (b"", b"q=jo&") if name == "after" and path == calls.ORDERS else (b"",):
            status, wrong = service.asked(path, others + name.encode() + b"=" + quote(value).encode())
            assert status == 200 or (status, set(wrong)) == (422, {name}), (value, status)

    probe()
