"""An order service that cancels each order at most once."""

__version__ = "0.1.0"
