"""The libraries that receivers use verify a request as it is really sent, in Python and on Node."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from countermand.delivery.signing import new_secret, new_signing_key
from support.clients import FOLDER, on_node, with_python
from support.receivers import BOX, Received, a_receiver, a_sender, a_sending, status

pytestmark = pytest.mark.slow

OLD, NEW, OTHER = new_secret(), new_secret(), new_secret()
CHANGES: dict[str, Callable[[Received], Received]] = {
    "as it came": lambda one: one,
    "another body": lambda one: Received(one.line, one.headers, one.body + b" "),
    "another id": lambda one: Received(one.line, one.headers | {"webhook-id": "evt_other"}, one.body),
    "too old": lambda one: Received(one.line, one.headers | {"webhook-timestamp": "1614265330"}, one.body),
    "no signature": lambda one: Received(one.line, one.headers | {"webhook-signature": ""}, one.body),
}


def in_python(file: Path) -> str:
    return with_python(FOLDER / "verify_webhooks.py", file, folder=file.parent)


def in_javascript(file: Path) -> str:
    return on_node(FOLDER / "verify_webhooks.mjs", file, folder=file.parent)


@pytest.mark.parametrize("verify", [in_python, in_javascript])
async def test_others_verify_what_is_sent_with_either_secret_of_a_rotation_and_nothing_else(
    verify: Callable[[Path], str], tmp_path: Path
):
    sealed = {one: BOX.encrypt(one.encode()) for one in (OLD, NEW)}
    rotating = {
        "secret": sealed[NEW],
        "previous_secret": sealed[OLD],
        "previous_secret_until": datetime.now(UTC) + timedelta(hours=24),
        "signing_key": BOX.encrypt(new_signing_key().encode()),
    }
    async with a_receiver(status(204)) as receiver, a_sender() as sender:
        for fields in ({"secret": sealed[NEW]}, rotating):
            assert (await sender.send(a_sending(receiver.url(), **fields))).error is None
    before, during = receiver.requests
    cases = [
        *((before, NEW, change) for change in CHANGES),
        (before, OLD, "as it came"),
        (before, OTHER, "as it came"),
        *((during, secret, "as it came") for secret in (NEW, OLD, OTHER)),
        (during, OLD, "another body"),
    ]
    file = tmp_path / "requests.json"
    file.write_text(json.dumps([as_json(CHANGES[change](request), secret) for request, secret, change in cases]))

    said = json.loads(verify(file))

    good = [(before, NEW, "as it came"), (during, NEW, "as it came"), (during, OLD, "as it came")]
    assert said == [dict.fromkeys(("standardwebhooks", "svix"), case in good) for case in cases]


def as_json(request: Received, secret: str) -> dict[str, object]:
    return {"secret": secret, "headers": request.headers, "body": base64.b64encode(request.body).decode()}
