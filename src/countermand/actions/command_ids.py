"""Every command has an id: by it, a node finds out what became of a commit that was cut off."""

import itertools
import os
import secrets
from typing import Final, NewType

CommandId = NewType("CommandId", str)

_process: Final = [secrets.token_hex(8)]
_numbers: Final = itertools.count()


def _forked() -> None:
    """Take another prefix: a process that was forked from this one counts on from the same number."""
    _process[0] = secrets.token_hex(8)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forked)


def new_command_id() -> CommandId:
    """An id that no other command of any process has: it need not be hard to guess, and 16 random bytes cost more."""
    return CommandId(f"{_process[0]}{next(_numbers):016x}")
