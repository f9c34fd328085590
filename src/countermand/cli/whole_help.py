"""Lists commands in a help text with the whole first sentence about each, over several lines if it needs them."""

from typing import TYPE_CHECKING, Final

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click.core import Context
    from typer._click.formatting import HelpFormatter

_WHOLE: Final = 10_000  # characters: no sentence is that long


class WholeHelpGroup(TyperGroup):
    """A group of commands. Typer's own cuts each sentence after one line, with three dots."""

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write the list of commands."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(_WHOLE)) for name, one in named if one is not None and not one.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
