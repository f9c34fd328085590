"""The line of a server that is ready names where it listens and, if that is another, the address of its clients."""

import socket

import pytest

from countermand.serving import Reached, ServingError, bound


@pytest.mark.parametrize(
    ("url", "host", "line"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "::1", "http://[::1]:8080"),
        ("http://127.0.0.1:8080", "0.0.0.0", "0.0.0.0:8080, on this machine http://127.0.0.1:8080"),
        ("http://[::1]:8080", "::", "[::]:8080, on this machine http://[::1]:8080"),
        (
            "https://orders.example",
            "127.0.0.1",
            "http://127.0.0.1:8080; the address of its clients is https://orders.example",
        ),
        (
            "https://orders.example",
            "0.0.0.0",
            "0.0.0.0:8080, on this machine http://127.0.0.1:8080; the address of its clients is https://orders.example",
        ),
    ],
)
def test_both_addresses_are_named_and_the_last_word_is_the_clients(url: str, host: str, line: str):
    assert str(Reached(url=url, host=host, port=8080)) == line
    assert line.rsplit(maxsplit=1)[-1] == url


def test_the_advice_is_about_the_port_or_about_the_host_whichever_is_wrong():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ServingError, match="in use; choose another with --port"),
    ):
        bound("127.0.0.1", taken.getsockname()[1])
    for host in ("nowhere.invalid", "192.0.2.1"):
        with pytest.raises(ServingError, match="choose another with --host"):
            bound(host, 0)
