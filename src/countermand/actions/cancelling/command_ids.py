"""Makes the ids of commands. With the id, a node finds out what became of a commit that was cut off."""

import itertools
import secrets
from typing import NewType

CommandId = NewType("CommandId", str)


class CommandIds:
    """Makes ids that no other command of any process has. Each process makes an object when it begins to serve.

    An id is 32 hexadecimal digits: a random prefix, then a number. An id need not be secret, and 16 random bytes for
    each id would cost more. A forked process must not use its parent's object: both would count alike.
    """

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()

    def next(self) -> CommandId:
        """Return the next id."""
        return CommandId(f"{self._prefix}{next(self._numbers):016x}")
