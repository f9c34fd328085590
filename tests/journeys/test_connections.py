"""Connections to `countermand serve`: how long they stay, how many there are, and what an operator sees of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from support.serving import Served, a_connection, a_server, next_answer, request
from support.world import World, a_world

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: "


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        yield made


def comes(connection: socket.socket) -> bytes:
    """Everything to the end of a connection."""
    pieces = []
    while piece := connection.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


def at_the_cap(server: Served) -> list[dict[str, Any]]:
    """The log's lines on it."""
    return [line for line in server.log_lines if "the cap of connections" in line["event"]]


async def a_metric(server: Served, line: str) -> None:
    """Wait until `/metrics` has a line."""
    async with server.client() as http:
        while line not in (await http.get("/metrics")).text.splitlines():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)


async def test_the_settings_say_how_long_a_connection_may_keep_the_server_waiting(world: World):
    with a_server(world, idle_limit_s=0.4, head_limit_s=0.4, body_limit_s=0.4) as server:
        with a_connection(server.port) as silent:
            assert comes(silent) == b""
        with a_connection(server.port) as used:
            used.sendall(request("GET", "/healthz", {}))
            status, headers, _, left = next_answer(used)
            assert (status, headers["keep-alive"], left, comes(used)) == (200, "timeout=0", b"", b"")
        for half in (HALF_HEAD, request("POST", "/orders", {"Content-Length": "10"})):
            with a_connection(server.port) as connection:
                connection.sendall(half)
                assert comes(connection).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        await a_metric(server, 'countermand_connections_closed_total{why="refused"} 0.0')
        await a_metric(server, 'countermand_connections_closed_total{why="idle"} 2.0')
        await a_metric(server, 'countermand_connections_closed_total{why="head"} 1.0')
        await a_metric(server, 'countermand_connections_closed_total{why="body"} 1.0')
        assert "Traceback" not in server.log


async def test_an_answer_says_for_how_long_a_proxy_may_keep_the_connection(world: World):
    with a_server(world) as server, a_connection(server.port) as connection:
        connection.sendall(request("GET", "/healthz", {}))
        assert next_answer(connection)[1]["keep-alive"] == "timeout=75"


async def test_beyond_the_cap_half_requests_make_room_and_the_log_says_so(world: World):
    with a_server(world, connections_cap=10, log_format="json") as server:
        half = [a_connection(server.port) for _ in range(30)]
        for connection in half:
            connection.sendall(HALF_HEAD)
        for _ in range(5):
            async with server.client() as http:
                assert (await http.get("/healthz")).status_code == 200
        while not (told := at_the_cap(server)):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
        assert (told[0]["level"], told[0]["cap"], told[0]["refused"]) == ("warning", 10, 0)
        assert told[0]["evicted"] >= 20
        await a_metric(server, "countermand_connections 10.0")
        for connection in half:
            connection.close()


async def test_a_stop_does_not_wait_for_connections_that_have_no_request(world: World):
    with a_server(world) as server:
        open_ones = [a_connection(server.port) for _ in range(3)]
        open_ones[1].sendall(HALF_HEAD)
        open_ones[2].sendall(request("GET", "/healthz", {}))
        next_answer(open_ones[2])
        server.process.terminate()
        assert server.process.wait(20) == 0
        for connection in open_ones:
            connection.close()
