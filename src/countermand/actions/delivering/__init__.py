"""Delivers order events to the endpoints of subscribers."""
