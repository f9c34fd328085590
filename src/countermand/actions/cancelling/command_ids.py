"""Every command has an id: by it, a node finds out what became of a commit that was cut off."""

import itertools
import secrets
from typing import Final, NewType

CommandId = NewType("CommandId", str)

_process: Final = [secrets.token_hex(8)]
_numbers: Final = itertools.count()


def begin_command_ids() -> None:
    """Take another prefix, when a process begins to serve: one that it was forked from may have counted as far."""
    _process[0] = secrets.token_hex(8)


def new_command_id() -> CommandId:
    """An id that no other command of any process has: it need not be hard to guess, and 16 random bytes cost more."""
    return CommandId(f"{_process[0]}{next(_numbers):016x}")
