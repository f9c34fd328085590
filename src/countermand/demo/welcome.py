"""Prints where the demo listens, and an example request for each outcome."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from countermand.demo.credentials import CONNECT_HEADERS


def welcome(folder: Path, url: str, made: Mapping[str, Any]) -> None:
    """Print it. Only a terminal gets the requests with their secrets; any other output gets only the file's path."""
    print(f"Countermand is ready at {url}")  # noqa: T201 - the text is for a person
    print(f"  the calls:        {url}/docs")  # noqa: T201
    print(f"  ids and secrets:  {folder / 'demo.json'}", flush=True)  # noqa: T201
    if sys.stdout.isatty():
        print("\n".join(_requests(folder, url, made)), flush=True)  # noqa: T201


def _requests(folder: Path, url: str, made: Mapping[str, Any]) -> Iterator[str]:
    connect, shopping = made["connect"]["orders"], made["shopping"]["orders"]
    headers = f"-H {shlex.quote('@' + str(folder / CONNECT_HEADERS))}"
    cancel = f"{url}/api/connect/orders/cancel"

    def order(number: int) -> str:
        return f"-d '{{\"orderId\":{number}}}'"

    yield f"\nconnect (its token and version are in {CONNECT_HEADERS}):"
    yield from _request("cancelled: 200", f"{cancel} {headers} {order(connect['cancellable'][0])}")
    within = order(connect["appointment_in_25h"][0])
    yield from _request("an appointment within 26 hours: 422", f"{cancel} {headers} {within}")
    yield from _request("no such order: 404", f"{cancel} {headers} {order(999_999_999)}")
    bad = "-H 'Authorization: Bearer not-a-token' -H 'X-API-VERSION: 7' -H 'Content-Type: application/json'"
    yield from _request("a bad token: 401", f"{cancel} {bad} {order(connect['cancellable'][0])}")

    key = shlex.quote(f"{made['shopping']['key']}:{made['shopping']['secret']}")
    cancellation = f"{url}/ordercancellation/ -u {key} -H 'Content-Type: application/json'"

    def why(uri: str) -> str:
        return "-d " + shlex.quote(json.dumps({"order": uri, "reason": "The buyer asked"}))

    yield "\nshopping:"
    yield from _request("cancelled: 200", f"{cancellation} {why(shopping['cancellable'][0])}")
    yield from _request("already paid: 403", f"{cancellation} {why(shopping['paid'][0])}")
    yield from _request("already cancelled: 409", f"{cancellation} {why(made['_cancelled_ticket_order'])}")
    no_reason = "-d " + shlex.quote(json.dumps({"order": shopping["cancellable"][1]}))
    yield from _request("no reason given: 400", f"{cancellation} {no_reason}")
    yield "\nEvery start has fresh orders. Ctrl-C stops."


def _request(outcome: str, arguments: str) -> Iterator[str]:
    yield f"\n  # {outcome}"
    yield rf"  curl -i -w '\n' {arguments}"  # no answer ends with a line end, and a prompt would follow it
