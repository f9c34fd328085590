"""A receiver tries webhooks out on the command line: it makes a key, verifies a request, and listens."""

import asyncio
import io
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from countermand.actions.delivering.sending import AttemptResult
from countermand.delivery.secret_box import keys_of
from countermand.delivery.signing import new_secret, new_signing_key, public_key_of, sign
from support.command_line import Run, assert_one_sentence, runner
from support.receivers import BOX, a_sender, a_sending

SECRET, KEY = new_secret(), new_signing_key()
ID, BODY = "evt_connect-54_2_order_cancelled_0011aabb", b'{"type":"order.cancelled","data":{"order":"connect-54"}}'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def headers(body: bytes = BODY, *, age_s: int = 0) -> dict[str, str]:
    at_s = int((datetime.now(UTC) - timedelta(seconds=age_s)).timestamp())
    return {"id": ID, "timestamp": str(at_s), "signature": sign([SECRET], ID, at_s, body, KEY)}


def options(found: dict[str, str]) -> list[str]:
    return [word for name, text in found.items() for word in (f"--{name}", text)]


def a_file(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def test_a_key_is_printed_for_the_setting_and_is_another_each_time(run: Run):
    first, second = run("webhook", "key"), run("webhook", "key")
    assert (first.code, first.err) == (0, "")
    assert first.out != second.out
    assert len(keys_of(first.out)) == 1


def test_a_request_is_verified_with_the_secret_or_the_public_key(run: Run, tmp_path: Path):
    body, signed = a_file(tmp_path, "body", BODY), options(headers())
    for given in (
        ("--secret", SECRET),
        ("--public-key", public_key_of(KEY)),
        ("--secret", new_secret(), "--secret", SECRET),
    ):
        said = run("webhook", "verify", body, *signed, *given)
        assert (said.code, said.out, said.err) == (0, f"ok: {ID}\n", "")
    for given in (("--secret", new_secret()), ("--public-key", public_key_of(new_signing_key()))):
        said = run("webhook", "verify", body, *signed, *given)
        assert (said.code, said.err) == (1, "")
        assert said.out.startswith("not ok: webhook-signature does not fit")


def test_the_body_may_come_from_standard_input_and_the_headers_from_a_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lines = [
        "POST /events HTTP/1.1",
        "Host: shop.example",
        *(f"Webhook-{name}: {text}" for name, text in headers().items()),
    ]
    file = a_file(tmp_path, "headers", "\r\n".join([*lines, "", "webhook-id: another"]).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BODY)))
    assert run("webhook", "verify", "--headers", file, "--secret", SECRET).out == f"ok: {ID}\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_end_that_a_program_added_is_named(end: bytes, run: Run, tmp_path: Path):
    said = run("webhook", "verify", a_file(tmp_path, "body", BODY + end), *options(headers()), "--secret", SECRET)
    assert said.code == 1
    assert "The body fits without the line end" in said.out
    other = run("webhook", "verify", a_file(tmp_path, "other", b"{}" + end), *options(headers()), "--secret", SECRET)
    assert other.code == 1
    assert "line end" not in other.out


def test_an_old_request_is_verified_only_if_any_age_is_allowed(run: Run, tmp_path: Path):
    body, signed = a_file(tmp_path, "body", BODY), options(headers(age_s=400))
    said = run("webhook", "verify", body, *signed, "--secret", SECRET)
    assert (said.code, "webhook-timestamp is" in said.out) == (1, True)
    assert run("webhook", "verify", body, *signed, "--secret", SECRET, "--any-age").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--id", ID, "--timestamp", "1", "--signature", "v1,x"], "nothing to verify with"),
        (["--secret", "hunter2", "--id", ID, "--timestamp", "1", "--signature", "v1,x"], "must begin with whsec_"),
        (["--secret", SECRET, "--id", ID], "no header webhook-timestamp, webhook-signature"),
        (["--secret", SECRET, "--headers", "nowhere"], "nowhere cannot be read"),
        (["--secret", SECRET, "--headers", "nowhere", "--id", ID], "leave --id"),
        (
            ["--secret", SECRET, "nowhere", "--id", ID, "--timestamp", "1", "--signature", "v1,x"],
            "nowhere cannot be read",
        ),
    ],
)
def test_what_is_missing_is_named_and_no_secret_is_repeated(arguments: list[str], said: str, run: Run, tmp_path: Path):
    if not any(one == "nowhere" for one in arguments):
        arguments = [a_file(tmp_path, "body", BODY), *arguments]
    failed = run("webhook", "verify", *arguments)
    assert_one_sentence(failed, said)
    assert SECRET not in failed.err
    assert "hunter2" not in failed.err


class Listening:
    """A listener in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process, self.url = process, url

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), timeout=60)).decode()

    async def event(self) -> dict[str, object]:
        return json.loads(await self.line())


@asynccontextmanager
async def a_listener(*arguments: str) -> AsyncIterator[Listening]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "countermand", "webhook", "listen", "--port", "0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        stream = process.stderr if "--json" in arguments else process.stdout
        ready = (await asyncio.wait_for(stream.readline(), timeout=60)).decode()
        assert ready.startswith("Listening at http://127.0.0.1:"), ready
        yield Listening(process, ready.split()[-1])
        process.send_signal(signal.SIGTERM)  # SIGINT is ignored where a script runs the tests beside itself
        out, err = await asyncio.wait_for(process.communicate(), timeout=60)
        assert (process.returncode, out, err) == (0, b"", b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def send(url: str, *events: dict[str, object], secret: str = SECRET) -> Sequence[AttemptResult]:
    async with a_sender() as sender:
        sealed = BOX.encrypt(secret.encode())
        return [await sender.send(a_sending(url, body=BODY, secret=sealed, **event)) for event in events]


PLACED = "evt_connect-54_1_order_placed_ccddeeff"


async def test_the_listener_prints_each_event_and_names_repeats_and_holes():
    async with a_listener("--secret", SECRET) as listening:
        results = await send(
            listening.url,
            {"event_id": PLACED, "order_version": 1},
            {"event_id": ID, "previous": PLACED},
            {"event_id": ID, "previous": PLACED, "attempt": 2},
            {"event_id": "evt_5", "previous": "evt_4"},
        )
        assert [one.status for one in results] == [204] * 4
        first, second, again, hole = [await listening.line() for _ in range(4)]
        assert first == f"order.cancelled of connect-54, version 1; {PLACED}; attempt 1; signature ok; answered 204\n"
        assert second == f"order.cancelled of connect-54, version 2; {ID}; attempt 1; signature ok; answered 204\n"
        assert "attempt 2; signature ok; came before; answered" in again
        assert "evt_4, which is before it, did not come here" in hole


async def test_a_wrong_signature_is_answered_401_and_does_not_count_as_taken():
    async with a_listener("--secret", SECRET, "--json") as listening:
        for secret, status in ((new_secret(), 401), (SECRET, 204)):
            (result,) = await send(listening.url, {}, secret=secret)
            event = await listening.event()
            assert (result.status, event["answered"], event["again"]) == (status, status, False)
            assert (event["signature"] == "ok") is (status == 204)


async def test_without_a_secret_nothing_is_verified_and_the_line_says_so():
    async with a_listener() as listening:
        await send(listening.url, {})
        assert "signature unchecked" in await listening.line()


async def test_each_line_of_json_has_what_came():
    async with a_listener("--json") as listening:
        await send(listening.url, {"previous": PLACED, "attempt": 3, "headers": [("ce-type", "order.cancelled")]})
        event = await listening.event()
        assert datetime.fromisoformat(str(event.pop("received_at"))).tzinfo is not None
        assert event == {
            "id": ID,
            "kind": "order.cancelled",
            "order": "connect-54",
            "order_version": "2",
            "attempt": "3",
            "previous": PLACED,
            "signature": "unchecked",
            "again": False,
            "previous_missing": True,
            "answered": 204,
            "body": json.loads(BODY),
        }


@pytest.mark.parametrize(
    ("arguments", "statuses"),
    [
        (["--fail", "2"], [500, 500, 204, 204]),
        (["--answer", "503"], [503, 503]),
        (["--fail", "1", "--answer", "201"], [500, 201]),
        (["--gone"], [410, 410]),
        (["--hang", "0.1"], [204]),
    ],
)
async def test_the_listener_fails_as_it_is_told(arguments: list[str], statuses: list[int]):
    async with a_listener(*arguments) as listening:
        results = await send(listening.url, *({} for _ in statuses))
        assert [one.status for one in results] == statuses
        assert [one.disables for one in results] == [status == 410 for status in statuses]
        lines = [await listening.line() for _ in statuses]
        assert [int(line.split()[-1]) for line in lines] == statuses
        taken = [status for status in statuses if status < 300]
        assert sum("came before" in line for line in lines) == max(len(taken) - 1, 0)


async def test_what_is_no_event_is_refused_and_no_text_of_it_reaches_the_terminal_as_it_is():
    async with a_listener() as listening, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(listening.url, content=b"x")).status_code == 400
        assert "no header webhook-id" in await listening.line()
        evil = {
            "webhook-id": "a",
            "webhook-timestamp": "1",
            "webhook-signature": "v1,x",
            "countermand-attempt": "\x1b[2J",
        }
        body = json.dumps({"type": "\x1b[31m\n\u202e" + "x" * 1000, "data": []}).encode()
        assert (await http.post(listening.url, content=body, headers=evil)).status_code == 204
        line = await listening.line()
        assert line[:-1].isprintable()
        assert len(line) < 700
        assert (await http.post(listening.url, content=b"[" * 100_000, headers=evil)).status_code == 204
        assert (await listening.line()).startswith("event; a; ")
        for length, status in ((b"1048577", b"413"), (b"many", b"411"), (b"-1", b"411")):
            reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(listening.url).port)
            writer.write(b"POST / HTTP/1.1\r\ncontent-length: " + length + b"\r\n\r\n")
            assert (await reader.readline()).split()[1] == status
            writer.close()
        assert (await http.get(listening.url)).status_code == 501


async def test_a_port_that_is_taken_and_options_that_contradict_are_sentences(run: Run):
    async with a_listener() as listening:
        port = listening.url.rstrip("/").rsplit(":", 1)[-1]
        taken = await asyncio.to_thread(run, "webhook", "listen", "--port", port)
        assert_one_sentence(taken, f"--port {port} cannot be used")
    both = await asyncio.to_thread(run, "webhook", "listen", "--gone", "--answer", "500")
    assert_one_sentence(both, "--gone answers 410")
    wrong = await asyncio.to_thread(run, "webhook", "listen", "--secret", "hunter2")
    assert_one_sentence(wrong, "--secret must begin with whsec_")
