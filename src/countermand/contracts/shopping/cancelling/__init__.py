"""Cancelling over the shopping contract."""
