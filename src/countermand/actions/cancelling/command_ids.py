"""Every command has an id: by it, a node finds out what became of a commit that was cut off."""

import itertools
import secrets
from typing import NewType

CommandId = NewType("CommandId", str)


class CommandIds:
    """Gives ids that no other command of any process has. Each process makes its own when it begins to serve.

    An id is 32 hexadecimal digits: a random prefix, then a number. Nobody has to guess it, and 16 random bytes for each
    would cost more. A process that is forked later must not go on with its parent's object: both would count alike.
    """

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()

    def next(self) -> CommandId:
        """The next id."""
        return CommandId(f"{self._prefix}{next(self._numbers):016x}")
