"""The commands of the demo: start it, print what a shell needs to call it, and make ids to try things with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from countermand.cli.errors import CommandError
from countermand.cli.option_types import PATH, TEXT
from countermand.cli.whole_help import WholeHelpGroup

if TYPE_CHECKING:
    from countermand.demo.running_demo import RunningDemo

demo = typer.Typer(no_args_is_help=False, cls=WholeHelpGroup)
errors = Console(stderr=True, soft_wrap=True, highlight=False)

_FOLDER: Final = Path(".countermand")
_AT_MOST: Final = 1000


@demo.callback(invoke_without_command=True)
def start_demo(
    context: typer.Context,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the sample data is kept.  [default: .countermand]", **PATH)
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.  [default: 127.0.0.1]", **TEXT)] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.  [default: 8080]")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew: remove earlier sample data.")] = False,  # noqa: FBT002
    env: Annotated[  # noqa: FBT002 - an option has a default
        bool,
        typer.Option("--env", help="Start nothing; print `export` lines for a shell that calls the running demo."),
    ] = False,
) -> None:
    """Start a service with sample data. It needs no configuration.

    While it runs, another terminal can call it: `eval "$(countermand demo --env)"` sets addresses, credentials and one
    id of each kind (such as CONNECT_URL and CONNECT_TOKEN), in bash and in zsh, and puts countermand on the PATH.
    `countermand demo ids` makes more ids.
    """
    if context.invoked_subcommand is not None:
        return
    folder = data_dir or _FOLDER
    if env:
        for name, given in {"host": host, "port": port, "fresh": fresh or None}.items():
            if given is not None:
                shown = f"--{name}" if given is True else f"--{name} {given}"
                raise CommandError(f"--env starts nothing, so {shown} has no meaning; leave it out")
        _print_exports(folder)
        return
    from countermand.demo.run import run_demo
    from countermand.serving import is_loopback

    host = host or "127.0.0.1"
    if not is_loopback(host):
        errors.print(f"Careful: {host} can be reached from other machines, and this is a demo.", markup=False)
    run_demo(data_dir=folder, host=host, port=8080 if port is None else port, fresh=fresh)


def _print_exports(data_dir: Path) -> None:
    from countermand.demo.exports import exports

    with _running(data_dir) as running:
        lines = list(exports(running))  # all or none: a shell would evaluate the lines before an error
    typer.echo("\n".join(lines))


@demo.command("ids")
def print_ids(
    context: typer.Context,
    kind: Annotated[
        str | None, typer.Argument(help="What to make; without a kind, the kinds are listed.", metavar="KIND")
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, max=_AT_MOST, help="How many ids to print.")] = 1,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the running demo keeps its data.  [default: DEMO_DIR, as --env exports it, or .countermand]",
            envvar="DEMO_DIR",
            show_envvar=False,
            **PATH,
        ),
    ] = None,
) -> None:
    """Print ids of orders or products that the running demo makes now, so that nobody has used them before.

    The kinds are those of demo.json, such as connect.cancellable, shopping.paid and product.free.
    An order of connect is a number; an order of shopping, or a product, is an address.
    """
    from countermand.demo.fresh_ids import KINDS, fresh_id

    if kind is None:
        typer.echo("\n".join(KINDS))
        return
    if kind not in KINDS:
        raise CommandError(f"KIND must be one of {', '.join(KINDS)}, not {kind!r}")
    assert context.parent is not None
    above: Path | None = context.parent.params["data_dir"]
    with _running(above or data_dir or _FOLDER) as running:
        for _ in range(count):
            typer.echo(fresh_id(running, kind))


@contextmanager
def _running(data_dir: Path) -> "Iterator[RunningDemo]":
    from countermand.demo.running_demo import DemoError, RunningDemo

    try:
        running = RunningDemo(data_dir)
        try:
            yield running
        finally:
            running.close()
    except DemoError as error:
        raise CommandError(str(error)) from None
