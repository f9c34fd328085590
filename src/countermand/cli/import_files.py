"""What the commands that load a file share: a bar that shows how far they are, and the list of what is wrong in it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from countermand.cli.errors import CommandError
from countermand.cli.printing import one_line

_ERRORS_SHOWN: Final = 20


@contextmanager
def progress_of(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar in a terminal. Gives a function that moves it on by a number."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)


def nothing_loaded(file: Path, errors: Sequence[str]) -> CommandError:
    """Return the error that names what is wrong in a file."""
    more = f"\nand {len(errors) - _ERRORS_SHOWN} more" if len(errors) > _ERRORS_SHOWN else ""
    return CommandError(f"{file}: nothing was loaded\n" + "\n".join(map(one_line, errors[:_ERRORS_SHOWN])) + more)
