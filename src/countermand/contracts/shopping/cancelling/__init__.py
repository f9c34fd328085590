"""Cancelling in the shopping contract."""
