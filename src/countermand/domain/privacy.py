"""Who is a person? Somebody with an e-mail address, which stands alone or in a text."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

MARKER: Final = "forgotten"  # what stands in the place of a forgotten text


@dataclass(frozen=True)
class Person:
    """A person, by e-mail address. Upper and lower case make no difference."""

    email: str

    @cached_property
    def _mention(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w.+%-]){re.escape(self.email)}(?![\w-])(?!\.\w)", re.IGNORECASE)

    def is_named(self, value: object) -> bool:
        """Return whether a value is the person's address, and nothing else."""
        return isinstance(value, str) and value.strip().casefold() == self.email.casefold()

    def is_mentioned(self, text: str) -> bool:
        """Return whether a text is the person's address, or has it as a whole word."""
        return self.is_named(text) or self._mention.search(text) is not None
