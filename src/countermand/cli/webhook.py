"""The commands of webhooks: make a key, verify a request, and listen as a receiver does."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countermand.cli.errors import CommandError
from countermand.cli.option_types import PATH, TEXT
from countermand.cli.printing import say
from countermand.cli.whole_help import WholeHelpGroup

if TYPE_CHECKING:
    from countermand.delivery.signing import SignedRequest

webhook = typer.Typer(
    help="Make the key for the secrets of endpoints, verify a request, and listen for events.",
    no_args_is_help=True,
    cls=WholeHelpGroup,
)
_UNFIT = 1  # the exit code

Secrets = Annotated[
    list[str] | None,
    typer.Option("--secret", help="A secret of the endpoint (whsec_…); may be given several times.", **TEXT),
]


@webhook.command("key")
def print_key() -> None:
    """Print a new key that encrypts the secrets of endpoints, for COUNTERMAND_WEBHOOK_SECRET_KEY. It is stored nowhere.

    Give the key to every node. To replace a key, put the new key before the old one, with a space between them.
    """
    from countermand.delivery.secret_box import new_key

    typer.echo(new_key())


@webhook.command("verify")
def verify(
    body: Annotated[
        Path | None,
        typer.Argument(
            help="A file with the body, as it came.  [default: standard input]", **PATH | {"metavar": "BODY"}
        ),
    ] = None,
    secret: Secrets = None,
    public_key: Annotated[
        list[str] | None,
        typer.Option(help="A public key of the endpoint (whpk_…), for v1a; may be given several times.", **TEXT),
    ] = None,
    headers: Annotated[
        Path | None, typer.Option(help="A file with the headers of the request, one in a line.", **PATH)
    ] = None,
    event_id: Annotated[str | None, typer.Option("--id", help="The header webhook-id.", **TEXT)] = None,
    timestamp: Annotated[str | None, typer.Option(help="The header webhook-timestamp.", **TEXT)] = None,
    signature: Annotated[str | None, typer.Option(help="The header webhook-signature.", **TEXT)] = None,
    any_age: Annotated[  # noqa: FBT002 - an option has a default
        bool, typer.Option("--any-age", help="Accept a request that is older than five minutes.")
    ] = False,
) -> None:
    """Verify a request that a receiver got, and say which part does not fit. The exit code is then 1.

    The headers come from --headers, or from --id, --timestamp and --signature.
    """
    from countermand.bootstrap.clock import utc_now
    from countermand.delivery.signing import why_unfit

    if not secret and not public_key:
        raise CommandError("nothing to verify with: give --secret or --public-key")
    request = _request(headers, event_id, timestamp, signature, body)

    def why(one: "SignedRequest") -> str | None:
        now_s = None if any_age else utc_now().timestamp()
        try:
            return why_unfit(one, endpoint_secrets=secret or (), public_keys=public_key or (), now_s=now_s)
        except ValueError as error:
            raise CommandError(f"--secret or --public-key {error}") from None

    sentence = why(request)
    if sentence is None:
        say(f"ok: {request.id}")
        return
    say(f"not ok: {sentence}")
    if _without_line_end(request) != request and why(_without_line_end(request)) is None:
        say("The body fits without the line end at its end: verify the bytes as they came, before a program adds one.")
    raise typer.Exit(_UNFIT)


@webhook.command("listen")
def listen(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to listen on, on this machine alone; 0 takes a free one.")
    ] = 9000,
    secret: Secrets = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,  # noqa: FBT002
    fail: Annotated[int, typer.Option(min=0, help="Answer this many requests 500 before all others.")] = 0,
    answer: Annotated[int, typer.Option(min=200, max=599, help="The status of the answer.")] = 204,
    hang: Annotated[float, typer.Option(min=0, max=3600, help="Wait so many seconds before each answer.")] = 0,
    gone: Annotated[bool, typer.Option("--gone", help="Answer 410: send no more events.")] = False,  # noqa: FBT002
) -> None:
    """Receive events on this machine, and print each in a line. Ctrl-C stops.

    With --secret, the signature is verified, and a request with a wrong one is answered 401. An event that came before
    is named, and so is one that should have come before. To practise failures, let the receiver fail, hang or be gone.
    """
    import signal

    from countermand.cli.webhook_listener import Conduct, Listener
    from countermand.delivery.signing import secret_bytes

    if gone and answer != 204:  # noqa: PLR2004 - the default
        raise CommandError(f"--gone answers 410, so --answer {answer} has no meaning; leave one of them out")
    try:
        for one in secret or ():
            secret_bytes(one)
    except ValueError as error:
        raise CommandError(f"--secret {error}") from None
    conduct = Conduct(failures=fail, status=410 if gone else answer, hang_s=hang)
    try:
        listener = Listener(port, secret or (), conduct, as_json=as_json)
    except OSError as error:
        raise CommandError(f"--port {port} cannot be used: {error.strerror}; choose another") from None
    with listener:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill %1` is as Ctrl-C
        say(f"Listening at {listener.url}", err=as_json)
        try:
            listener.serve_forever()
        except KeyboardInterrupt:
            return


def _request(
    headers: Path | None, event_id: str | None, timestamp: str | None, signature: str | None, body: Path | None
) -> "SignedRequest":
    from countermand.delivery.signing import ID, SIGNATURE, TIMESTAMP, SignedRequest

    given = {ID: event_id, TIMESTAMP: timestamp, SIGNATURE: signature}
    named = {name: text for name, text in given.items() if text is not None}
    if headers is not None and named:
        raise CommandError("--headers has all headers: leave --id, --timestamp and --signature out")
    found = named if headers is None else _headers_in(headers)
    try:
        return SignedRequest.of(found, _bytes_of(body))
    except ValueError as error:
        where = "--id, --timestamp and --signature" if headers is None else f"--headers {headers}"
        raise CommandError(f"{where}: {error}") from None


def _headers_in(file: Path) -> dict[str, str]:
    """Read headers up to an empty line. A line without a colon, such as `POST / HTTP/1.1`, is no header."""
    found = {}
    for line in _bytes_of(file).decode(errors="replace").splitlines():
        name, colon, text = line.partition(":")
        if not line.strip():
            break
        if colon:
            found[name.strip().lower()] = text.strip()
    return found


def _bytes_of(file: Path | None) -> bytes:
    if file is None or str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None


def _without_line_end(request: "SignedRequest") -> "SignedRequest":
    from dataclasses import replace

    return replace(request, body=request.body.removesuffix(b"\n").removesuffix(b"\r"))
