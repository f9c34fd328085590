"""An order service whose heart is order cancellation done right."""

__version__ = "0.1.0"
