"""The error of a command that cannot be carried out."""


class CommandError(Exception):
    """A command was not carried out: the message says why, and what to do."""
