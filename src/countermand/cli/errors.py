"""The error of a command that cannot be carried out."""


class CommandError(Exception):
    """Raised if a command was not carried out. The message says why, and what to do."""
