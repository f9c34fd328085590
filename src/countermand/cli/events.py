"""The commands about order events: print the feed, and begin another generation of its cursors after a restore."""

from typing import TYPE_CHECKING, Annotated

import typer

from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.option_types import TEXT
from countermand.cli.printing import say
from countermand.cli.whole_help import WholeHelpGroup

if TYPE_CHECKING:
    from countermand.bootstrap.database import Database

events = typer.Typer(
    help="Print the feed of order events, and begin it anew after a restore.",
    no_args_is_help=True,
    cls=WholeHelpGroup,
)


@events.command("list")
def list_events(
    after: Annotated[
        str | None,
        typer.Option(help="Begin after this position of an event.  [default: at the first event]", **TEXT),
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Print the events of the feed as JSON lines, up to its end, as GET /manage/v1/events answers."""
    import msgspec

    from countermand.actions.ordering.event_feed import EventFeed
    from countermand.contracts.manage.events import LARGEST_PAGE, page_shown

    async def run(database: "Database") -> None:
        feed, begin = EventFeed(database.store, database.store.now), after
        while True:
            page = page_shown(await feed.read(begin, LARGEST_PAGE))
            for event in page.events:
                typer.echo(msgspec.json.encode(event))
            if not page.events:
                return
            begin = page.next

    with_database(read_settings(settings), run)


@events.command("new-generation")
def new_generation(settings: SettingsFile = None) -> None:
    """Begin another generation of cursors after a restore, before any node starts. Older cursors are answered 410.

    The answer 410 says where to go on, so that nobody misses an event that was written after the restore.
    """
    from countermand.actions.ordering.event_feed import EventFeed

    async def run(database: "Database") -> str:
        return await EventFeed(database.store, database.store.now).begin_generation()

    say(f"A new generation of the feed begins after {with_database(read_settings(settings), run)}.")
